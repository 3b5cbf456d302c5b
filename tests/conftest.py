"""What all tests share."""

from hypothesis import settings

# how long an example takes depends on what else the machine does, and no test asserts a time
settings.register_profile("outthink", deadline=None)
settings.load_profile("outthink")

"""`python -m outthink` is the command line."""

from outthink.cli import main

main()

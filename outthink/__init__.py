"""outthink: test-time scaling."""

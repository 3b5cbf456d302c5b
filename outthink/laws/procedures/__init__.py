"""Procedures that the command line knows, one file each; see `outthink.laws.procedure`."""

"""One file a way to judge candidates."""

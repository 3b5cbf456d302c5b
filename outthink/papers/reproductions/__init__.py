"""One file a paper: `pNNN_name.py` measures claims of paper NNN; see `outthink.papers.harness`."""

"""The 141 papers outthink is built from, and the measurements that reproduce one claim of each."""

"""One file a named method: how compute is spent on one problem."""

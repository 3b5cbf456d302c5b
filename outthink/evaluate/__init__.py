"""Runs, oracles, metrics and reports."""

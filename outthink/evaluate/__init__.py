"""Runs of strategies over problem sets, keys and ceilings, curves from recorded pools, and reports."""

"""Scaling laws: forms, fits, intervals, audits and plans over plain tables. Stands on `stats` and `core.errors` alone."""

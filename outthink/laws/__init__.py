"""Scaling laws: forms, fits, intervals, audits and plans over plain tables. Stands on `stats` and `core.errors` alone.

from outthink.laws.bootstrap import bootstrap
from outthink.laws.fit import fit
from outthink.laws.table import read_table

found = fit("chinchilla", read_table("runs.csv"))
found.values, found.flags, bootstrap(found, cluster="run").interval("alpha")
"""

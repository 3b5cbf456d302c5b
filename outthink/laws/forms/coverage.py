"""[113] Coverage of repeated sampling as a law: the class is the estimators' own, `outthink.stats.coverage_law.CoverageLaw`.

    coverage(k) = exp(-a k^-b)

Least squares on log(-log coverage) (`Objective(scale="loglog", loss="squared")`) is a straight line in log k and is how the published exponents
.370 to .191 of the Pythia models come about, over 30 truncated log-spaced k in 1..10,000; least squares on coverage itself weighs the points
differently and gives others (12B: 4.304 and .379 for 4.136 and .370). Coverage 0 or 1 has no logarithm of a logarithm: leave such k out.
"""

from __future__ import annotations

from outthink.laws.form import Parameter, Variable, law
from outthink.stats.coverage_law import CoverageLaw

law(
    "coverage",
    papers=(113, 119),
    title="Exponentiated power law of coverage",
    formula="coverage = exp(-a k^-b)",
    variables=(Variable("k", "samples a problem", "samples", low=1.0, open_low=False),),
    target=Variable("coverage", "share of problems that any of k samples solves", "share", high=1.0),
    parameters=(
        Parameter("a", "-log coverage of one sample", low=0.0, starts=(0.05, 12.0)),
        Parameter("b", "exponent; below 0 where more samples do not help", starts=(0.05, 1.0)),
    ),
    source="[113] section 3.1; official notebook fits coverage itself, the published table its double logarithm",
    valid="coverage strictly between 0 and 1, unbiased pass@k; it goes to 1, so a share of unsolvable problems bounds how far it may be extended",
)(CoverageLaw)

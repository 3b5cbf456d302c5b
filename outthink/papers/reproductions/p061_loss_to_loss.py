"""[61] Loss-to-loss prediction: a power law between losses carries a law from one training set to another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from outthink.core import data
from outthink.laws.fit import fit
from outthink.laws.forms.loss_to_loss import LossToLoss, transfer
from outthink.laws.objective import Objective
from outthink.laws.table import Table, read_table, table_of
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

_SET = "laws/loss-to-loss"
_NEEDS = tuple(f"data:{_SET}/{name}" for name in ("sweep.csv", "extrapolation.csv", "opt_params_data.csv", "published_train_to_train.csv"))
_SETS = {
    "FineWeb": "fineweb-100b", "FineWeb-Edu": "fineweb-edu-100b", "ProofPile 2": "proof-pile-2", "SlimPajama": "slimpajama-chunk1",
    "SmolLM Corpus": "smollm-corpus", "StarCoder": "starcoder",
}  # fmt: skip
_SOURCE = "Brandfonbrener et al., 529 runs on six training sets"


def _read(name: str) -> Table:
    (path,) = data.find(_SET, name)
    return read_table(path)


def _floors() -> dict[str, float]:
    table = _read("opt_params_data.csv")
    kept = table.where((table.label("loss_name") == "val_loss") & (table.label("kaplan") == "True"))
    return dict(zip(map(str, kept.label("data")), map(float, kept.column("E")), strict=True))


def _runs(sweep: Table, name: str) -> dict[tuple[float, float], float]:
    """The loss of each run on one training set, by its size and tokens."""
    own = sweep.where(sweep.label("data") == _SETS[name])
    keys = zip(own.column("params"), own.column("tokens"), strict=True)
    return {(float(n), float(d)): float(loss) for (n, d), loss in zip(keys, own.column("val_loss"), strict=True)}


def _transfer(sweep: Table, floors: dict[str, float], first: str, second: str) -> LossToLoss:
    one, other = _runs(sweep, first), _runs(sweep, second)
    shared = sorted(set(one) & set(other))
    return transfer([one[key] for key in shared], [other[key] for key in shared], floors[_SETS[first]], floors[_SETS[second]])


@reproduction(paper=61, kind="recorded", fast=True, needs=_NEEDS)
def train_to_train() -> Iterator[Measured]:
    """Thirty published pairs of exponent and coefficient between training sets."""
    sweep, floors, published = _read("sweep.csv"), _floors(), _read("published_train_to_train.csv")
    pairs = list(zip(map(str, published.label("data_0")), map(str, published.label("data_1")), strict=True))
    laws = {pair: _transfer(sweep, floors, *pair) for pair in pairs}
    kappas = [abs(laws[pair].kappa - kappa) for pair, kappa in zip(pairs, published.column("kappa"), strict=True)]
    coefficients = [abs(laws[pair].K - k) for pair, k in zip(pairs, published.column("K"), strict=True)]
    yield Measured.within("pairs of training sets", value=len(pairs), target=30, tolerance=0, data=_SOURCE)
    yield Measured.at_most("largest deviation of an exponent from the published one", value=max(kappas), bound=1e-4, data=_SOURCE, size="30 pairs")
    yield Measured.at_most("largest deviation of a coefficient", value=max(coefficients), bound=1e-4, data=_SOURCE, size="30 pairs")
    back = laws["FineWeb", "ProofPile 2"].kappa * laws["ProofPile 2", "FineWeb"].kappa
    yield Measured.within("exponents there and back, FineWeb and ProofPile 2: product", value=back, target=1.0, tolerance=0.005, data=_SOURCE)


@reproduction(paper=61, kind="recorded", needs=_NEEDS)
def base_fits() -> Iterator[Measured]:
    """The laws of single training sets, from which the floors come."""
    sweep = _read("sweep.csv")
    own = sweep.where(sweep.label("data") == _SETS["FineWeb-Edu"])
    table = table_of({"parameters": own.column("params"), "tokens": own.column("tokens"), "loss": own.column("val_loss")})
    expected = {"kaplan": (1.96690, 0.41290, 0.45558), "chinchilla": (2.00219, 0.45402, 0.44947)}
    for form, numbers in expected.items():
        found = fit(form, table, objective=Objective(reduction="mean"))
        for name, number in zip(("E", "alpha", "beta"), numbers, strict=True):
            yield Measured.within(
                f"FineWeb-Edu, {form}: {name}", value=found.values[name], target=number, tolerance=1e-4, data=_SOURCE, size=f"{found.rows} runs"
            )


@reproduction(paper=61, kind="recorded", needs=_NEEDS)
def extrapolation() -> Iterator[Measured]:
    """At twenty times the compute the transferred loss is nearly exact where a law of the set alone is a tenth of a nat off."""
    sweep, floors, far = _read("sweep.csv"), _floors(), _read("extrapolation.csv")
    final = dict(zip(map(str, far.label("data")), map(float, far.column("val_loss")), strict=True))
    published = _read("published_train_to_train.csv")
    errors = []
    for first, second in zip(map(str, published.label("data_0")), map(str, published.label("data_1")), strict=True):
        law = _transfer(sweep, floors, first, second)
        errors.append(float(law(np.array([final[_SETS[first]]]))[0]) - final[_SETS[second]])
    yield Measured.at_most(
        "largest error of the thirty predictions at 1e21 FLOPs, in nats", value=float(np.abs(errors).max()), bound=0.04, data=_SOURCE,
        size="30 pairs, 3.3B parameters", not_covered="the first model must have been trained at that scale",
    )  # fmt: skip
    own = sweep.where(sweep.label("data") == _SETS["FineWeb-Edu"])
    table = table_of({"parameters": own.column("params"), "tokens": own.column("tokens"), "loss": own.column("val_loss")})
    there = far.where(far.label("data") == _SETS["FineWeb-Edu"])
    for form, gap in (("chinchilla", 0.107), ("kaplan", 0.088)):
        found = fit(form, table, objective=Objective(reduction="mean"))
        predicted = float(found.predict(there.column("params"), there.column("tokens"))[0])
        yield Measured.within(
            f"FineWeb-Edu at 1e21 FLOPs by its own {form} law: error in nats", value=predicted - final[_SETS["FineWeb-Edu"]], target=gap,
            tolerance=0.002, data=_SOURCE, size=f"{found.rows} runs",
        )  # fmt: skip

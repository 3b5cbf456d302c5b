"""A wrong implementation of what a reproduction of adaptation measures makes it fail; the whole ones run with `outthink reproduce`."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")
pytest.importorskip("sklearn", reason="scikit-learn is not installed; pip install 'outthink[adapt]'")

from outthink.adapt import selection  # noqa: E402
from outthink.adapt.methods import eata  # noqa: E402
from outthink.papers.adapting import DIGITS  # noqa: E402
from outthink.papers.harness import measure  # noqa: E402
from outthink.papers.measured import Measured  # noqa: E402
from outthink.papers.reproductions import p031_pitfalls, p063_eata  # noqa: E402

prepared = pytest.mark.skipif(not DIGITS.ready, reason="the fixture is not made: outthink reproduce 31 --prepare")


def verdicts(one):
    results = measure(one)
    assert all(isinstance(result, Measured) for result in results), results
    return {result.claim: result.holds for result in results}


@prepared
@pytest.mark.slow
def test_the_threshold_and_the_selection_hold(monkeypatch):
    assert all(verdicts(p031_pitfalls.selection).values())  # over fewer than its five seeds the interval of the gain may hold 0
    monkeypatch.setattr(p031_pitfalls, "SEEDS", (0, 1))
    assert all(verdicts(p031_pitfalls.model_and_threshold).values())


@prepared
@pytest.mark.slow
def test_an_oracle_that_takes_the_worst_step_fails(monkeypatch):
    honest = selection._score

    def turned(logits, labels):
        errors, loss = honest(logits, labels)
        return -errors, -loss

    monkeypatch.setattr(selection, "_score", turned)
    monkeypatch.setattr(p031_pitfalls, "SEEDS", (0,))
    found = verdicts(p031_pitfalls.selection)
    assert not any(found.values()), found


@prepared
@pytest.mark.slow
def test_an_eata_that_is_tent_fails(monkeypatch):
    monkeypatch.setattr(p063_eata, "SEEDS", (0,))
    monkeypatch.setattr(eata.Eata, "__init__", _as_tent(eata.Eata.__init__))
    found = verdicts(p063_eata.long_stream)
    assert not next(holds for claim, holds in found.items() if claim.startswith("backward passes"))
    assert not next(holds for claim, holds in found.items() if claim.startswith("the same of EATA"))


def _as_tent(honest):
    def everything(self, *, lr=1e-3, beta=0.0):
        honest(self, lr=lr, beta=0.0, margin=1.01, redundancy=2.0)

    return everything

"""Simulated knockouts [72]: limits, and the exact law, which is computed by another route."""

import numpy as np
import pytest

from outthink.stats import knockout_success
from outthink.stats.tournament_trials import knockout_trials


@pytest.mark.parametrize(("case", "trials"), [((0.3, 0.7, 16, 2), 20_000), ((0.5, 0.55, 8, 5), 20_000)])
def test_trials_match_the_law(case: tuple[float, float, int, int], trials: int):
    law = knockout_success(*case)
    assert knockout_trials(*case, trials=trials, seed=1).mean() == pytest.approx(law, abs=3 * np.sqrt(law * (1 - law) / trials))


def test_limits():
    assert knockout_trials(0.3, 1.0, 13, 1, trials=20_000, seed=2).mean() == pytest.approx(1 - 0.7**13, abs=0.003)
    assert not knockout_trials(0.0, 1.0, 8, 1, trials=50, seed=3).any()
    assert knockout_trials(1.0, 0.0, 8, 1, trials=50, seed=3).all()
    assert knockout_trials(0.3, 0.9, 1, 5, trials=20_000, seed=4).mean() == pytest.approx(0.3, abs=0.01)


def test_it_refuses_what_is_no_tournament():
    with pytest.raises(ValueError, match="probabilities"):
        knockout_trials(1.2, 0.5, 8, 1, trials=1, seed=0)
    with pytest.raises(ValueError, match="at least 1"):
        knockout_trials(0.5, 0.5, 0, 1, trials=1, seed=0)

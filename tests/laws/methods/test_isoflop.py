"""Minima of isoFLOP curves, and the law through them."""

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.methods.isoflop import Noise, growth, lowest

SIZES = np.geomspace(1e7, 1e9, 9)


def curve(best, sizes=SIZES):
    return 3.0 * np.exp(0.02 * np.log(sizes / best) ** 2)


@pytest.mark.parametrize("reading", ["akima", "parabola"])
@pytest.mark.parametrize("best", [3e7, 1.1e8, 4e8])
def test_the_minimum_of_a_bowl_is_found(reading, best):
    order = np.random.default_rng(0).permutation(len(SIZES))
    assert lowest(SIZES[order], curve(best)[order], reading) == pytest.approx(best, rel=0.05)


@pytest.mark.parametrize("reading", ["akima", "parabola"])
def test_a_minimum_at_an_edge_is_none(reading):
    assert np.isnan(lowest(SIZES, curve(1e6), reading))
    assert np.isnan(lowest(SIZES, curve(1e10), reading))
    # a parabola through these has its vertex inside, yet no larger model was trained to show that the loss rises again
    assert np.isnan(lowest(SIZES[:5], [5.0, 4.0, 3.2, 3.05, 3.0], reading))


def table(exponent=0.5, budgets=6):
    flops = np.repeat(np.geomspace(1e17, 1e20, budgets), 9)
    best = 1e8 * (flops / 1e18) ** exponent
    sizes = best * np.tile(np.geomspace(0.1, 10, 9), budgets)
    return flops, sizes, 3.0 * np.exp(0.02 * np.log(sizes / best) ** 2)


def test_the_growth_of_the_minima_is_found_with_and_without_noise():
    assert growth(*table(0.5)).exponent == pytest.approx(0.5, abs=1e-6)
    found = growth(*table(0.5), noise=Noise(), replicates=200, seed=1)
    assert found.low < 0.5 < found.high
    assert len(found.minima) == 6
    wide = growth(*table(0.5), noise=Noise(low=0.02, high=0.02), replicates=200, seed=1)
    assert wide.high - wide.low > 2 * (found.high - found.low)


def test_budgets_with_their_minimum_at_an_edge_are_dropped_and_named():
    flops, sizes, loss = table()
    kept = ~((flops == flops[0]) & (sizes > 1e7))
    found = growth(flops[kept], sizes[kept], loss[kept])
    assert found.dropped == (flops[0],)
    with pytest.raises(DataError, match="two budgets"):
        growth(flops[:9], sizes[:9], loss[:9])


def test_noise_grows_with_the_loss_as_meant_and_not_as_published():
    assert Noise().at([2.0, 3.0, 7.0, 9.0]) == pytest.approx([0.002, 0.002, 0.05, 0.05])
    # half way in log loss, half way in log noise: the official code interpolates logarithms
    assert Noise().at([21**0.5])[0] == pytest.approx(0.01)
    assert Noise(as_published=True).at([2.0, 9.0]) == pytest.approx([0.002, 0.002])


def test_bad_curves_are_refused():
    with pytest.raises(DataError, match="three sizes"):
        lowest([1e7, 1e8], [3.0, 2.0])
    for bad in (0.0, -1.0, np.nan, np.inf):
        broken = curve(1e8)
        broken[4] = bad
        with pytest.raises(DataError, match="losses must be finite and above 0, and 1 of 9"):
            lowest(SIZES, broken)
    with pytest.raises(DataError, match="one length"):
        lowest(SIZES, curve(1e8)[1:])
    with pytest.raises(UsageError, match="two of them"):
        growth(*table(), noise=Noise(), replicates=1)
    with pytest.raises(UsageError, match="below 0"):
        growth(*table(), noise=Noise(low=5.0, high=5.0), replicates=50)
    with pytest.raises(UsageError, match="0 < low"):
        Noise(low=0.0)
    with pytest.raises(UsageError, match="akima or parabola"):
        lowest(SIZES, curve(1e8), "spline")  # type: ignore[arg-type]


@pytest.mark.parametrize("reading", ["akima", "parabola"])
def test_of_several_runs_of_one_size_the_best_counts(reading):
    sizes, losses = np.append(SIZES, SIZES[[2, 5]]), np.append(curve(1.1e8), curve(1.1e8)[[2, 5]] + 0.5)
    assert lowest(sizes, losses, reading) == lowest(SIZES, curve(1.1e8), reading)
    flops, grid, loss = table()
    doubled = growth(np.append(flops, flops[3]), np.append(grid, grid[3]), np.append(loss, loss[3] + 0.5))
    assert doubled.exponent == growth(flops, grid, loss).exponent

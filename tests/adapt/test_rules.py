"""[106] Rules hold as often as they say on fresh data, whatever the order of the samples, and are counted as they are defined."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.rules import Rules, checked, count_violations, mine  # noqa: E402


def table(count, seed, shift=0.0):
    """Two classes in three statistics; the third is twice the first with some noise."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    first = torch.randn(count, generator=draw) + 3 * labels
    second = torch.randn(count, generator=draw)
    third = 2 * first + 0.1 * torch.randn(count, generator=draw)
    return torch.stack([first + shift, second, third], 1).double(), labels


def test_fresh_data_breaks_a_rule_as_often_as_it_says():
    rules = mine(*table(4000, 0), delta=0.9)
    statistics, labels = table(20_000, 1)
    applies = rules.applies(statistics) & (labels[:, None] == rules.label)
    rate = rules.violated(statistics, labels).sum(0) / applies.sum(0)
    # 4,000 samples: two classes, quarters of 500 each; binomial error of both the mined bounds and the count
    assert float((rate - 0.1).abs().max()) < 5 * (0.1 * 0.9 / 500) ** 0.5
    assert float(rate.mean()) == pytest.approx(0.1, abs=0.01)
    found = count_violations(rules, statistics, labels)
    assert abs(found.excess) < 0.15 * found.expected
    assert found.found - found.excess == pytest.approx(found.expected)


def test_the_order_of_the_samples_does_not_matter():
    statistics, labels = table(400, 2)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    first, second = mine(statistics, labels), mine(statistics[order], labels[order])
    for name in ("label", "given", "start", "end", "bound", "low", "high"):
        assert torch.equal(getattr(first, name), getattr(second, name))


def test_a_rule_is_what_it_says():
    rule = Rules(*(torch.tensor([value]) for value in (1, 0, 0.0, 2.0, 1, -1.0, 1.0)), delta=0.98)
    statistics = torch.tensor([[0.0, 5.0], [1.9, 0.0], [2.0, 5.0], [-0.1, 5.0], [1.0, -1.0], [1.0, -1.1]])
    assert rule.applies(statistics)[:, 0].tolist() == [True, True, False, False, True, True]
    assert rule.broken(statistics)[:, 0].tolist() == [True, False, False, False, False, True]
    assert rule.violated(statistics, torch.tensor([0, 1, 1, 1, 1, 1]))[:, 0].tolist() == [False, False, False, False, False, True]
    counted = count_violations(rule, statistics, torch.ones(6, dtype=torch.long))
    assert (counted.found, counted.samples) == (2, 2)
    assert counted.expected == pytest.approx(0.02 * 4)


def test_nested_rules_see_what_single_ones_cannot():
    """A sample whose first and third statistics are usual alone and impossible together."""
    odd = torch.tensor([[1.0, 0.0, -2.0]], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.long)
    assert not mine(*table(2000, 3), nested=False).violated(odd, zero).any()
    assert mine(*table(2000, 3)).violated(odd, zero).any()


def test_checking_drops_what_does_not_hold_and_keeps_what_tells_classes_apart():
    statistics, labels = table(2000, 4)
    rules = mine(statistics, labels, nested=False)
    moved, same = table(2000, 5, shift=4.0)
    kept = checked(rules, moved, same)
    assert 0 not in kept.bound.tolist()  # the first statistic is elsewhere now
    one = checked(rules, *table(2000, 6), most=1)
    assert sorted(one.label.tolist()) == [0, 1]
    assert 1 not in one.bound.tolist()  # the second statistic is the same in both classes


@pytest.mark.parametrize(
    ("given", "said"),
    [({"delta": 1.0}, "delta"), ({"fewest": 5000}, "no class has 5000")],
)
def test_what_cannot_be_mined_is_named(given, said):
    with pytest.raises(ValueError, match=said):
        mine(*table(100, 0), **given)
    with pytest.raises(ValueError, match="samples, count"):
        mine(torch.zeros(3), torch.zeros(3))

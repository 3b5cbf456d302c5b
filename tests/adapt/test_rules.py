"""[106] Rules hold as often as they say on fresh data, whatever the order of the samples, and are counted as they are defined."""

import dataclasses

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
    for name in ("label", "given", "quarter", "start", "end", "bound", "low", "high"):
        assert torch.equal(getattr(first, name), getattr(second, name))


def test_a_rule_is_what_it_says():
    rule = Rules(*(torch.tensor([value]) for value in (1, 0, 1, 0.0, 2.0, 1, -1.0, 1.0)), delta=0.98, classes=2)
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


def one_sided(*bounds):
    """Rules of one statistic, (low, high) for each class."""
    low, high = torch.tensor(bounds).T
    count, label = len(bounds), torch.arange(len(bounds))
    none, endless = torch.full((count,), -1), torch.full((count,), torch.inf)
    return Rules(label, none, none, -endless, endless, torch.zeros_like(label), low, high, delta=0.98, classes=count)


def test_a_rule_says_its_class_where_no_other_class_has_its_bounds():
    """Three classes: [0, 4], [3, 6], [1, 2]. What is left of the first is [0, 1) and (2, 3), of the second (4, 6], of the third nothing."""
    rules = one_sided((0.0, 4.0), (3.0, 6.0), (1.0, 2.0))
    values = torch.tensor([-0.5, 0.5, 1.5, 2.5, 3.5, 5.0, 6.5])[:, None]
    says = rules.says(values)
    assert says.nonzero().tolist() == [[1, 0], [3, 0], [5, 1]]
    assert rules.contradicted(values, torch.tensor([1, 0, 1, 2, 2, 0, 2])).nonzero().tolist() == [[3, 0], [5, 1]]
    assert not rules.take(torch.tensor([0, 1])).says(values).any()  # the third class's bounds are not known any more


def test_a_nested_rule_speaks_in_the_quarter_of_its_class_alone():
    """Both classes have a second quarter; the bounds of s_1 in it are apart, and what it says counts where s_0 is in one of the quarters."""

    def column(*values):
        return torch.tensor(values)

    rules = Rules(column(0, 1), column(0, 0), column(1, 1), column(0.0, 1.0), column(2.0, 3.0), column(1, 1), column(0.0, 5.0), column(1.0, 6.0),
                  delta=0.98, classes=2)  # fmt: skip
    places = torch.tensor([[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [2.5, 5.5], [0.5, 5.5]])
    assert rules.says(places).nonzero().tolist() == [[0, 0], [3, 1]]
    other = rules.quarter.clone()
    other[1] = 2
    assert not dataclasses.replace(rules, quarter=other).says(places).any()  # of another quarter it is no rival, and so nothing is known


def test_what_rules_say_of_fresh_data_is_right_but_for_delta():
    """[106] Two classes that hardly overlap: of what is said of a class, what another class does outside of its own bounds is wrong."""
    rules = mine(*table(4000, 0), delta=0.98, nested=False)
    statistics, labels = table(20_000, 1)
    says = rules.says(statistics)
    told = says.any(0)
    right = (says & (labels[:, None] == rules.label)).sum(0) / says.sum(0).clamp_min(1)
    assert float(right[told & (rules.bound != 1)].min()) > 0.95
    assert int(told[rules.bound != 1].sum()) == 4
    # the second statistic is the same in both classes: nearly nothing is left to say
    assert int(says[:, rules.bound == 1].sum()) < 0.02 * int(says.sum())


def test_checking_drops_what_does_not_hold():
    statistics, labels = table(2000, 4)
    rules = mine(statistics, labels, nested=False)
    moved, same = table(2000, 5, shift=4.0)
    kept = checked(rules, moved, same)
    assert 0 not in kept.bound.tolist()  # the first statistic is elsewhere now
    assert sorted(checked(rules, *table(2000, 6)).bound.tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [({"delta": 1.0}, "delta"), ({"fewest": 5000}, "no class has 5000")],
)
def test_what_cannot_be_mined_is_named(given, said):
    with pytest.raises(ValueError, match=said):
        mine(*table(100, 0), **given)
    with pytest.raises(ValueError, match="samples, count"):
        mine(torch.zeros(3), torch.zeros(3))

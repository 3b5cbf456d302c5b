"""The bank under each of its rules: quotas, who goes, what a newcomer must be, and a saved bank that goes on."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from outthink.adapt.memory import BalancedReservoir, Bank, FirstOut, SmoothedCount, Timely  # noqa: E402

CLASSES, CAPACITY = 4, 10
newcomers = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.floats(0.0, math.log(CLASSES))), max_size=80)
RULES = [FirstOut, Timely, BalancedReservoir, SmoothedCount]


def filled(rule, offered, seed=0, capacity=CAPACITY):
    bank, draw = Bank(capacity, CLASSES, rule()), torch.Generator().manual_seed(seed)
    for number, (label, score) in enumerate(offered):
        bank.add(torch.tensor([float(number)]), label, score, draw)
    return bank


@pytest.mark.parametrize("rule", RULES)
@given(newcomers)
def test_it_never_holds_more_than_it_may_and_keeps_each_sample_with_its_own_label(rule, offered):
    bank = filled(rule, offered)
    assert len(bank) == len(bank.labels) == len(bank.scores) == len(bank.ages) == sum(bank.counts()) <= CAPACITY
    if len(bank):
        numbers = bank.inputs()[:, 0].long().tolist()
        assert len(set(numbers)) == len(numbers)
        for number, label, score, age in zip(numbers, bank.labels.tolist(), bank.scores.tolist(), bank.ages.tolist(), strict=True):
            assert (label, score) == offered[number]
            assert age == len(offered) - number  # one older with every sample that was offered since, itself included


@given(newcomers)
def test_timely_keeps_classes_under_their_quota(offered):
    assert max(filled(Timely, offered).counts(), default=0) <= math.ceil(CAPACITY / CLASSES)


@given(newcomers, st.tuples(st.integers(0, CLASSES - 1), st.floats(0.0, math.log(CLASSES))))
def test_timely_gives_a_place_only_to_a_better_one(offered, newcomer):
    bank = filled(Timely, offered)
    rule, before = bank.eviction, {int(row[0]) for row in bank.inputs()} if len(bank) else set()
    entries = {int(bank.inputs()[place, 0]): bank.entry(place) for place in range(len(bank))}
    taken = bank.add(torch.tensor([-1.0]), *newcomer, torch.Generator())
    gone = before - {int(row[0]) for row in bank.inputs()}
    assert len(gone) <= int(taken)
    for number in gone:
        _, score, age = entries[number]
        assert rule.heuristic(bank, age, score) > rule.heuristic(bank, 0, newcomer[1])


def test_timely_weighs_age_and_doubt_as_published():
    """[37] s = 1 / (1 + exp(-age / N)) + H / log classes."""
    bank = filled(Timely, [])
    assert bank.eviction.heuristic(bank, 0, 0.0) == 0.5
    assert bank.eviction.heuristic(bank, 10, math.log(4)) == pytest.approx(1 / (1 + math.exp(-1)) + 1)


def test_of_two_equally_certain_ones_the_newcomer_is_the_more_timely():
    """[37] The official memory ages with the newcomer too: the sample before it is one older than it, and goes."""
    bank = filled(Timely, [(0, 0.1), (0, 0.1)], capacity=CLASSES)
    assert bank.inputs()[:, 0].tolist() == [1.0]


def test_first_out_is_a_queue():
    assert sorted(filled(FirstOut, [(0, 0.0)] * 25).inputs()[:, 0].tolist()) == list(range(15, 25))


def test_the_reservoir_balances_a_stream_that_is_all_runs():
    runs = [(label, 0.0) for label in range(CLASSES) for _ in range(100)]
    assert max(filled(BalancedReservoir, runs, capacity=16).counts()) - min(filled(BalancedReservoir, runs, capacity=16).counts()) <= 1


def test_the_reservoir_keeps_every_sample_of_one_class_with_equal_chance():
    """Of 40 samples of one class a bank of 10 keeps each with probability 1/4: chi-square over 2,000 fillings."""
    kept = torch.zeros(40)
    for seed in range(2000):
        kept[filled(BalancedReservoir, [(0, 0.0)] * 40, seed=seed).inputs()[:, 0].long()] += 1
    # the held of one filling are drawn without repeats, so the statistic is about (1 - 1/4) of a chi-square of 39
    statistic = float(((kept - 500) ** 2 / 500).sum()) / 0.75
    assert statistic < 73  # the .9992 quantile


def test_the_smoothed_count_takes_from_the_largest_class():
    bank = filled(SmoothedCount, [(0, 0.0)] * 9 + [(1, 0.0)])
    bank.eviction.refresh(bank)
    bank.add(torch.tensor([99.0]), 2, 0.0, torch.Generator())
    assert bank.counts() == [8, 1, 1, 0]
    assert 0.0 not in bank.inputs()[:, 0].tolist()  # the oldest of it


@pytest.mark.parametrize("rule", RULES)
def test_a_saved_bank_goes_on_where_it_stopped(rule, tmp_path):
    draw = torch.Generator().manual_seed(1)
    offered = [(int(torch.randint(CLASSES, (), generator=draw)), float(torch.rand((), generator=draw))) for _ in range(60)]
    whole, rest = filled(rule, offered), Bank(CAPACITY, 0, rule())
    # chance is the state's, not the bank's: the second half goes on with the generator of the first
    half, draws = Bank(CAPACITY, CLASSES, rule()), torch.Generator().manual_seed(0)
    for number, (label, score) in enumerate(offered):
        if number == 30:
            torch.save(half.state_dict(), tmp_path / "bank.pt")
            rest.load_state_dict(torch.load(tmp_path / "bank.pt", weights_only=True))
        (half if number < 30 else rest).add(torch.tensor([float(number)]), label, score, draws)
    assert torch.equal(rest.inputs(), whole.inputs())
    assert torch.equal(rest.ages, whole.ages)


def test_a_bank_of_nothing_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        Bank(0, CLASSES, FirstOut())

"""Streams: every sample once, in the order that the name promises, and no label in a batch."""

import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.orders import ORDERS, lookup  # noqa: E402
from outthink.adapt.streams import (  # noqa: E402
    UNKNOWN,
    Batch,
    Domain,
    Oracle,
    continual,
    correlated,
    gradual,
    in_turn,
    independent,
    label_shifted,
    long_tailed,
    mixed,
    open_world,
    video,
)
from outthink.core.spec import build  # noqa: E402


def domain(name="a", count=400, classes=10, start=0.0):
    return Domain(name, torch.arange(count).float()[:, None] + start, torch.arange(count) % classes)


def runs(stream):
    labels = stream.labels()
    return float((labels[1:] == labels[:-1]).float().mean())


@pytest.mark.parametrize(
    "make",
    [
        lambda: independent(domain(), batch=64, seed=0),
        lambda: continual([domain("a"), domain("b", start=1000)], batch=64, seed=0),
        lambda: gradual([domain("a"), domain("b", start=1000), domain("c", start=2000)], batch=64, seed=0),
        lambda: mixed([domain("a"), domain("b", start=1000)], batch=64, seed=0),
        lambda: correlated([domain("a"), domain("b", start=1000)], batch=64, seed=0),
        lambda: video(domain()),
    ],
)
def test_every_sample_comes_once_with_its_own_label_and_again_in_the_same_order(make):
    stream = make()
    seen = torch.cat([batch.inputs for batch in stream])[:, 0]
    assert sorted(seen.tolist()) == sorted(torch.cat([d.inputs for d in stream.domains])[:, 0].tolist())
    assert torch.equal(stream.labels(), seen.long() % 10)
    assert torch.equal(torch.cat([batch.inputs for batch in stream])[:, 0], seen)
    assert torch.equal(torch.cat([batch.inputs for batch in make()])[:, 0], seen)
    assert sum(1 for _ in stream) == len(stream)


def test_a_batch_holds_inputs_and_positions_and_nothing_else():
    assert [field.name for field in dataclasses.fields(Batch)] == ["inputs", "ids"]


def test_small_concentrations_make_runs_and_large_ones_do_not():
    parts = [domain(count=4000)]
    assert runs(correlated(parts, batch=64, seed=0, concentration=0.01)) > 0.95
    first = correlated(parts, batch=64, seed=0, concentration=0.1)
    shares = torch.stack([torch.bincount(first.labels(batch.ids), minlength=10).float().max() / len(batch.ids) for batch in first])
    even = torch.stack([torch.bincount(b, minlength=10).float().max() / 64 for b in independent(parts[0], batch=64, seed=0).labels().split(64)])
    assert shares.mean() > 0.7 > 0.3 > even.mean()
    # an even mixture in each slot: every slot of 400 holds nearly 40 of each class
    flat = correlated(parts, batch=400, seed=0, concentration=1e6)
    assert all(abs(int(count) - 40) <= 2 for count in torch.bincount(flat.labels()[:400], minlength=10))


def test_gradual_goes_up_and_down():
    shifts = gradual([domain(str(s)) for s in range(5)], batch=64, seed=0).shifts().tolist()
    turns = [shift for place, shift in enumerate(shifts) if place == 0 or shift != shifts[place - 1]]
    assert turns == [0, 1, 2, 3, 4, 3, 2, 1, 0]


def test_class_shares_are_as_asked():
    stream = label_shifted(domain(classes=4), [4, 2, 1, 0], batch=32, seed=0)
    assert torch.bincount(stream.labels(), minlength=4).tolist() == [100, 50, 25, 0]
    tail = torch.bincount(long_tailed(domain(count=4000), ratio=20, batch=32, seed=0).labels())
    assert int(tail[0]) / int(tail[-1]) == pytest.approx(20, rel=0.1)
    assert sorted(tail.tolist(), reverse=True) == tail.tolist()


def test_unknown_samples_are_marked_for_the_scorer_alone():
    stream = open_world(domain(), torch.full((500, 1), 9e9), batch=50, seed=0, ratio=0.5)
    labels = stream.labels()
    assert int((labels == UNKNOWN).sum()) == 200
    assert torch.equal(torch.cat([b.inputs for b in stream])[:, 0] == 9e9, labels == UNKNOWN)


def test_an_oracle_counts_each_label_once_and_stops_at_its_budget():
    stream = independent(domain(), batch=64, seed=0)
    oracle = Oracle(stream, budget=5)
    assert torch.equal(oracle.ask(torch.tensor([1, 2, 3])), stream.labels()[1:4])
    oracle.ask(torch.tensor([3, 4]))
    with pytest.raises(ValueError, match="2 labels asked for and 1 of 5"):
        oracle.ask(torch.tensor([7, 8]))
    assert oracle.asked == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Domain("a", torch.zeros(3, 1), torch.zeros(2)), "one a sample"),
        (lambda: Domain("a", torch.zeros(0, 1), torch.zeros(0)), "no samples"),
        (lambda: independent(domain(), batch=0, seed=0), "batch must be"),
        (lambda: correlated([domain()], batch=1, seed=0, concentration=0.0), "concentration"),
        (lambda: label_shifted(domain(), [1.0], batch=1, seed=0), "shares must be 10"),
        (lambda: open_world(domain(), torch.zeros(5, 2), batch=1, seed=0), "shape"),
        (lambda: open_world(domain(), torch.zeros(5, 1), batch=1, seed=0), "there are 5"),
    ],
)
def test_bad_streams_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_streams_in_turn_are_one_after_another_with_their_own_domains():
    first, second = independent(domain("a"), batch=64, seed=0), correlated([domain("b", start=1000), domain("c", start=2000)], batch=64, seed=0)
    both = in_turn([first, second])
    inputs = torch.cat([batch.inputs for batch in both])
    assert torch.equal(inputs, torch.cat([batch.inputs for stream in (first, second) for batch in stream]))
    assert torch.equal(both.labels(), torch.cat([first.labels(), second.labels()]))
    assert [one.name for one in both.domains] == ["a", "b", "c"]
    assert both.shifts().unique().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="no stream"):
        in_turn([])


def test_an_independent_stream_begins_a_batch_and_a_fresh_model_at_every_domain():
    parts = [domain("a", count=70), domain("b", count=30, start=1000), domain("c", count=64, start=2000)]
    stream = independent(*parts, batch=32, seed=0)
    assert [(len(batch.ids), stream.fresh(batch)) for batch in stream] == [(32, False), (32, False), (6, False), (30, True), (32, True), (32, False)]
    assert len(stream) == 6
    assert torch.equal(stream.order, continual(parts, batch=32, seed=0).order)
    both = in_turn([stream, stream])
    assert both.restarts == (70, 100, 234, 264)
    assert len(both) == sum(1 for _ in both)


def nobody(like, count):
    raise AssertionError("no unknown samples are wanted")


def test_knobs_of_a_spec_reach_the_stream():
    parts = [domain("a"), domain("b", start=1000)]

    def made(text, strangers=nobody):
        return build(text, "stream", find=lambda name: lookup(name).cls).stream(parts, batch=64, seed=0, strangers=strangers)

    assert runs(made("correlated(concentration=100.0)")) < 0.97 < runs(made("correlated(concentration=0.001)"))
    counts = torch.bincount(made("long_tailed(ratio=0.1)").labels())
    assert counts[9] == 10 * counts[0]
    assert torch.bincount(made("label_shifted(shares=[1, 0, 0, 0, 0, 0, 0, 0, 0, 3])").labels()).tolist() == [26, 0, 0, 0, 0, 0, 0, 0, 0, 80]
    assert made("independent").restarts == (400,)
    strange = made("open_world(ratio=0.25)", strangers=lambda like, count: torch.full((count, 1), -1.0))
    assert int((strange.labels() == UNKNOWN).sum()) == 200
    assert set(ORDERS) == {"independent", "continual", "gradual", "mixed", "correlated", "long_tailed", "label_shifted", "open_world", "video"}

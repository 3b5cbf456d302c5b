"""Runs over streams: the numbers are what the predictions say, pairs are pairs, and no label reaches a method."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402
from torch import nn  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.method import Cost  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.shot import Shot  # noqa: E402
from outthink.adapt.methods.tent import Tent  # noqa: E402
from outthink.adapt.online import Run, otsu, run_afterwards, run_online  # noqa: E402
from outthink.adapt.selection import run_protocol  # noqa: E402
from outthink.adapt.streams import UNKNOWN, Domain, Stream, continual, independent, mixed, open_world  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


def domain(name="a", count=160, seed=20, shift=0.8):
    return Domain(name, images(count, seed=seed, shift=shift), labels(count, seed=seed))


def run_of(logits, truth, shifts=None, domains=("a",)):
    logits, truth = torch.tensor(logits), torch.tensor(truth)
    return Run(logits, truth, torch.zeros_like(truth) if shifts is None else torch.tensor(shifts), torch.arange(len(truth)), domains, Cost(), 0.0)


def test_a_run_holds_the_models_own_predictions_in_the_streams_order(net):
    stream = mixed([domain("a"), domain("b", seed=21, shift=0.2)], batch=32, seed=1)
    model = adapt(net, Tent(lr=1e-2))
    expected = torch.cat([model(batch.inputs) for batch in stream])
    model.reset()
    told = []
    run = run_online(model, stream, progress=lambda *said: told.append(said))
    assert torch.equal(run.logits, expected)
    assert torch.equal(run.labels, stream.labels())
    assert run.error(seed=0).estimate == pytest.approx(float((expected.argmax(1) != stream.labels()).float().mean()))
    assert (run.cost.forwards, run.cost.backwards, run.cost.labels) == (320, 320, 0)
    assert [said[:2] for said in told] == [(done, 10) for done in range(1, 11)]
    assert told[-1][2] == pytest.approx(run.wrong.mean())


def test_labels_reach_no_method(net):
    right, shuffled = domain(), Domain("a", images(160, seed=20, shift=0.8), labels(160, seed=99))
    runs = [run_online(adapt(net, Shot()), independent(one, batch=32, seed=0)) for one in (right, shuffled)]
    assert torch.equal(runs[0].logits, runs[1].logits)
    assert runs[0].wrong.mean() != runs[1].wrong.mean()


def test_parts_and_domains_add_up_to_the_whole(net):
    stream = continual([domain("a"), domain("b", seed=21, shift=2.0), domain("a", seed=22)], batch=32, seed=0)
    run = run_online(adapt(net, BatchNormAdapt()), stream)
    parts = [part.estimate for part in run.over_time(3, seed=0)]
    assert np.mean(parts) == pytest.approx(run.wrong.mean())
    by_name = run.by_domain(seed=0)
    assert list(by_name) == ["a", "b"]
    assert (2 * by_name["a"].estimate + by_name["b"].estimate) / 3 == pytest.approx(run.wrong.mean())
    assert by_name["b"].estimate == pytest.approx(parts[1])


def test_a_paired_difference_of_a_run_with_itself_is_nothing_and_other_streams_are_refused(net):
    first = run_online(adapt(net, BatchNormAdapt()), independent(domain(), batch=32, seed=0))
    same = first.less(first, seed=0)
    assert (same.low, same.estimate, same.high) == (0.0, 0.0, 0.0)
    other = run_online(adapt(net, BatchNormAdapt()), independent(domain(), batch=32, seed=1))
    with pytest.raises(ValueError, match="same stream"):
        first.less(other, seed=0)


def test_calibration_by_hand():
    even = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    run = run_of(even, [0, 0, 0, 1])  # says one half, is right three times of four
    assert run.calibration_error() == pytest.approx(0.25)
    assert run.log_loss() == pytest.approx(math.log(2))


def test_unknown_samples_count_in_detection_and_in_no_error():
    run = run_of([[9.0, 0.0], [0.0, 9.0], [9.0, 0.0], [0.1, 0.0], [0.0, 0.2], [8.0, 0.0]], [0, 1, 1, UNKNOWN, UNKNOWN, UNKNOWN])
    assert run.wrong.tolist() == [0.0, 0.0, 1.0]
    found = run.open_world()
    assert found.known == pytest.approx(2 / 3)
    assert found.unknown == pytest.approx(2 / 3)
    assert found.harmonic == pytest.approx(2 / 3)
    assert found.auroc == pytest.approx(1.0)
    everything = run.open_world(threshold=1.0)
    assert (everything.known, everything.unknown, everything.harmonic) == (pytest.approx(2 / 3), 0.0, 0.0)
    with pytest.raises(ValueError, match="both known and unknown"):
        run_of([[1.0, 0.0]], [0]).open_world()


def test_all_unknown_batches_go_through(net):
    stream = open_world(domain(count=64), torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)), batch=1, seed=0)
    errors = []
    run = run_online(adapt(net, BatchNormAdapt()), stream, progress=lambda done, of, error: errors.append(error))
    assert len(run.wrong) == 64
    assert len(errors) == 128


def test_otsu_cuts_between_two_groups():
    assert otsu(np.array([0.0, 0.1, 0.2, 2.0, 2.1])) == pytest.approx(1.1)
    rng = np.random.default_rng(0)
    values = rng.random(30)
    cuts = np.sort(values)
    scores = [min(k, 1e9) * (30 - k) * (cuts[:k].mean() - cuts[k:].mean()) ** 2 for k in range(1, 30)]
    best = int(np.argmax(scores)) + 1
    assert otsu(values) == pytest.approx((cuts[best - 1] + cuts[best]) / 2)


@pytest.mark.parametrize("adapting", [False, True])
def test_looking_at_what_was_forgotten_leaves_the_model_as_it_was(net, adapting):
    stream, clean = independent(domain(), batch=32, seed=0), independent(domain("clean", seed=30, shift=0.0), batch=32, seed=0)
    looked, plain = adapt(net, Tent(lr=1e-2)), adapt(net, Tent(lr=1e-2))
    run_online(looked, stream)
    run_online(plain, stream)
    after = run_afterwards(looked, clean, adapting=adapting)
    assert after.cost == Cost(160, 160 if adapting else 0, 0)
    assert torch.equal(run_online(looked, stream).logits, run_online(plain, stream).logits)


def test_a_network_that_is_ruined_has_forgotten(net):
    clean = independent(domain("clean", seed=30, shift=0.0), batch=32, seed=0)
    model = adapt(net, Shot(lr=3.0))
    before = run_afterwards(model, clean).wrong.mean()
    run_online(model, independent(domain(), batch=32, seed=0))
    assert run_afterwards(model, clean).wrong.mean() > before + 0.3


@pytest.mark.parametrize("method", [Tent(lr=0.05), Shot(lr=0.02)])
def test_in_episodes_the_oracle_has_no_batch_with_more_errors_than_the_last_iterate(net, method):
    stream = independent(domain(shift=1.5), batch=16, seed=0)
    last, oracle = (run_protocol(adapt(net, method), stream, steps=4, select=select, episodic=True) for select in ("last", "oracle"))
    batches = np.array_split(last.wrong - oracle.wrong, len(stream))
    assert all(batch.sum() >= 0 for batch in batches)
    assert (last.cost.labels, oracle.cost.labels) == (0, 160)


def test_one_last_step_carried_on_is_the_method_one_call_later(net):
    stream = independent(domain(), batch=16, seed=0)
    run = run_protocol(adapt(net, Tent(lr=0.05)), stream, steps=1, select="last", episodic=False)
    model, expected = adapt(net, Tent(lr=0.05)), []
    for batch in stream:
        model(batch.inputs)
        expected.append(run_peek(model, batch.inputs))
    assert torch.equal(run.logits, torch.cat(expected))


def run_peek(model, inputs):
    with torch.no_grad():
        return model.state.predict(inputs)


def test_bad_protocols_are_refused(net):
    stream = independent(domain(), batch=16, seed=0)
    with pytest.raises(ValueError, match="steps"):
        run_protocol(adapt(net, Tent()), stream, steps=0, select="last", episodic=True)
    with pytest.raises(ValueError, match="select"):
        run_protocol(adapt(net, Tent()), stream, steps=1, select="best", episodic=True)
    run = run_online(adapt(net, BatchNormAdapt()), stream)
    with pytest.raises(ValueError, match="parts must be 1 to 80"):
        run.over_time(81, seed=0)


def test_a_model_without_dropout_or_draws_runs_the_same_twice(net):
    assert isinstance(net, nn.Module)
    stream = independent(domain(), batch=32, seed=0)
    model = adapt(net, Tent(lr=1e-2))
    first = run_online(model, stream)
    model.reset()
    assert torch.equal(run_online(model, stream).logits, first.logits)


def test_a_stream_with_restarts_resets_the_model_there_and_counts_all_that_was_spent():
    first, second = domain("a", seed=1), domain("b", seed=2, shift=1.0)
    model = adapt(trained(), Tent(lr=1e-2))
    together = run_online(model, independent(first, second, batch=32, seed=0))
    order = independent(first, second, batch=32, seed=0).order
    alone = []
    for part, rows in enumerate((order[: len(first.labels)], order[len(first.labels) :])):
        model.reset()
        alone.append(run_online(model, Stream((first, second), rows, 32)))
        assert part == int(rows[0, 0])
    assert torch.equal(together.logits, torch.cat([run.logits for run in alone]))
    assert together.cost.backwards == sum(run.cost.backwards for run in alone) == len(order)

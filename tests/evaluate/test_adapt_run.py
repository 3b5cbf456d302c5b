"""Runs on a stream that stop and go on, and what is refused."""

import json
import os
import signal

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.rotta import Rotta  # noqa: E402
from outthink.adapt.online import run_online  # noqa: E402
from outthink.adapt.streams import Domain, continual  # noqa: E402
from outthink.core.errors import StoreError  # noqa: E402
from outthink.evaluate.adapt_run import play  # noqa: E402

PLAN = {"method": "rotta", "seed": 0}


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def stream():
    domains = [Domain(f"shift {seed}", images(96, seed=seed, shift=0.3 * seed), labels(96, seed=seed)) for seed in range(3)]
    return continual(domains, batch=32, seed=0)


def stopping_after(batches):
    def progress(done, total, error):
        if done == batches:
            raise KeyboardInterrupt

    return progress


def test_a_run_that_was_stopped_ends_as_one_that_was_not(net, stream, tmp_path):
    whole = run_online(adapt(net, Rotta()), stream)
    with pytest.raises(KeyboardInterrupt):
        play(adapt(net, Rotta()), stream, folder=tmp_path / "run", plan=PLAN, progress=stopping_after(4))
    seen = []
    found = play(adapt(net, Rotta()), stream, folder=tmp_path / "run", plan=PLAN, progress=lambda done, total, error: seen.append(done))
    assert seen == [5, 6, 7, 8, 9]  # nothing done twice
    assert torch.equal(found.logits, whole.logits)
    assert found.cost == whole.cost


class Cut(torch.nn.Module):
    """A layer that is interrupted when it is called for the n-th time."""

    def __init__(self, inner, calls):
        super().__init__()
        self.inner, self.left = inner, calls

    def forward(self, batch):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.inner(batch)


@pytest.mark.parametrize("call", range(2, 14, 3))
def test_a_run_cut_in_the_middle_of_a_step_ends_as_one_that_was_not(net, stream, tmp_path, call):
    """Half a step is not saved: the last whole one is, and the run goes on from there."""
    whole = run_online(adapt(net, Rotta(every=32)), stream)
    cut = adapt(net, Rotta(every=32))
    cut.state.model.body = Cut(cut.state.model.body, call)
    cut.state.teacher.body = Cut(cut.state.teacher.body, call)
    with pytest.raises(KeyboardInterrupt):
        play(cut, stream, folder=tmp_path, plan=PLAN, every=10**6)
    assert not (tmp_path / "state.pt").exists()
    found = play(adapt(net, Rotta(every=32)), stream, folder=tmp_path, plan=PLAN)
    assert torch.equal(found.logits, whole.logits)


class Pressed(torch.nn.Module):
    """A layer during whose n-th call somebody presses Ctrl-C."""

    def __init__(self, inner, calls):
        super().__init__()
        self.inner, self.left = inner, calls

    def forward(self, batch):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return self.inner(batch)


def test_ctrl_c_waits_for_the_end_of_the_step_and_loses_nothing(net, stream, tmp_path):
    whole = run_online(adapt(net, Rotta(every=32)), stream)
    pressed = adapt(net, Rotta(every=32))
    pressed.state.teacher.head = Pressed(pressed.state.teacher.head, 4)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        play(pressed, stream, folder=tmp_path, plan=PLAN, every=10**6)
    assert signal.getsignal(signal.SIGINT) is handler
    kept = torch.load(tmp_path / "state.pt", weights_only=True)
    assert len(kept["logits"]) == 64  # two calls a batch: the fourth is in the second batch, which was finished
    assert torch.equal(kept["logits"], whole.logits[:64])


def test_a_finished_run_does_nothing_again(net, stream, tmp_path):
    first = play(adapt(net, Rotta()), stream, folder=tmp_path, plan=PLAN)
    again = play(adapt(net, Rotta()), stream, folder=tmp_path, plan=PLAN, progress=stopping_after(1))
    assert torch.equal(again.logits, first.logits)
    assert again.cost == first.cost


def test_another_plan_in_the_same_folder_is_refused_with_the_difference(net, stream, tmp_path):
    play(adapt(net, Rotta()), stream, folder=tmp_path, plan=PLAN)
    with pytest.raises(StoreError, match="seed 0, and this one has 1"):
        play(adapt(net, Rotta()), stream, folder=tmp_path, plan={**PLAN, "seed": 1})
    assert json.loads((tmp_path / "plan.json").read_text()) == PLAN


def test_a_broken_file_is_named_and_left(net, stream, tmp_path):
    play(adapt(net, Rotta()), stream, folder=tmp_path, plan=PLAN)
    (tmp_path / "state.pt").write_bytes(b"half of a fi")
    with pytest.raises(StoreError, match=r"state\.pt"):
        play(adapt(net, Rotta()), stream, folder=tmp_path, plan=PLAN)
    assert (tmp_path / "state.pt").read_bytes() == b"half of a fi"


def test_a_folder_that_cannot_be_one_is_refused(net, stream, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another"):
        play(adapt(net, Rotta()), stream, folder=tmp_path / "file", plan=PLAN)

"""[54] Who is asked for, what it costs, that labels are never used before they score, and that the budget holds."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")
pytest.importorskip("sklearn", reason="scikit-learn is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.losses import entropy  # noqa: E402
from outthink.adapt.methods.simatta import Simatta, representatives  # noqa: E402
from outthink.adapt.streams import UNKNOWN, Domain, Oracle, continual  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def stream():
    return continual([Domain("shifted", images(256, seed=4, shift=0.6), labels(256, seed=4))], batch=64, seed=0)


class Asked:
    """An oracle that remembers what it was asked."""

    def __init__(self, stream, answer=None):
        self.stream, self.answer, self.ids = stream, answer, []

    def ask(self, ids):
        self.ids += ids.tolist()
        return self.stream.labels(ids) if self.answer is None else torch.full_like(ids, self.answer)


def blobs(centres, each, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.cat([torch.tensor(centre) + 0.1 * torch.randn(each, 2, generator=draw) for centre in centres])


def test_each_new_cluster_is_stood_for_once_and_known_ones_are_not():
    held, offered = blobs([[0.0, 0.0]], 2, 0), blobs([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]], 10, 1)
    rows, sizes, grown = representatives(held, torch.ones(2, dtype=torch.float64), offered, 3, seed=0)
    assert len(rows) == 2
    assert sorted(row // 10 for row in rows) == [1, 2]
    assert sizes == [10.0, 10.0]
    assert grown.tolist() == [1 + 12 / 2, 1 + 12 / 2]  # its cluster of 12 shared by both
    first = representatives(held[:0], torch.zeros(0, dtype=torch.float64), offered, 3, seed=0)
    assert sorted(row // 10 for row in first[0]) == [0, 1, 2]


def test_no_sample_below_the_threshold_is_asked_for_and_the_budget_holds(net, stream):
    oracle = Asked(stream)
    model = adapt(net, Simatta(high=0.02, budget=15, lr=0.0, steps=1), oracle=oracle)
    inputs = torch.cat([batch.inputs for batch in stream])
    for batch in stream:
        model(batch.inputs)
    assert 0 < len(oracle.ids) <= 15
    assert len(set(oracle.ids)) == len(oracle.ids) == model.cost.labels
    with torch.no_grad():
        assert float(entropy(net(inputs))[oracle.ids].min()) >= 0.02
    paid = Oracle(stream, budget=15)
    again = adapt(net, Simatta(high=0.02, budget=15, steps=1), oracle=paid)
    for batch in stream:
        again(batch.inputs)  # asking for more would be refused
    assert len(paid.asked) <= 15


def test_the_prediction_comes_before_the_label(net, stream):
    first = next(iter(stream))
    told, lied = (adapt(net, Simatta(lr=0.1, steps=5), oracle=Asked(stream, answer)) for answer in (None, 3))
    assert torch.equal(told(first.inputs), lied(first.inputs))
    assert not torch.equal(told(first.inputs), lied(first.inputs))


def test_the_same_batch_again_asks_for_next_to_nothing(net, stream):
    oracle = Asked(stream)
    model = adapt(net, Simatta(growth=0, lr=0.0, steps=1), oracle=oracle)
    batch = next(iter(stream)).inputs
    model(batch)
    once = len(oracle.ids)
    model(batch)
    assert once > 0
    assert len(oracle.ids) - once <= once // 3


def test_sure_samples_are_those_of_the_frozen_model_under_its_labels(net, stream):
    model = adapt(net, Simatta(low=0.2, lr=0.0, sure=5, steps=1), oracle=Asked(stream))
    with torch.no_grad():
        model.state.model.head.weight.neg_()  # the adapting one says something else now
    for batch in list(stream)[:2]:
        model(batch.inputs)
    kept = model.state.sure
    assert 0 < len(kept["labels"]) <= 10
    with torch.no_grad():
        before = net(kept["inputs"])
    assert torch.equal(before.argmax(1), kept["labels"])
    assert float(entropy(before).max()) < 0.2


def test_an_answer_that_there_is_no_class_teaches_nothing_and_is_paid_for(net, stream):
    model = adapt(net, Simatta(), oracle=Asked(stream, UNKNOWN))
    model(next(iter(stream)).inputs)
    assert model.cost.labels > 0
    assert model.state.labelled == {}
    assert model.cost.backwards == 0


def test_without_a_budget_nothing_moves(net, stream):
    model = adapt(net, Simatta(budget=0), oracle=Asked(stream))
    batch = next(iter(stream)).inputs
    with torch.no_grad():
        assert torch.equal(model(batch), net(batch))
    assert torch.equal(model(batch), model(batch))
    assert model.cost.labels == 0


def test_training_goes_on_until_six_windows_of_five_losses_bring_nothing(net, stream):
    """One label and no step: every loss is the same. The first window is the lowest so far, six more are not, each is five losses and a step."""
    model = adapt(net, Simatta(clusters=1, growth=0, budget=1, lr=0.0, low=0.0, batch=4, steps=10_000), oracle=Asked(stream))
    model(next(iter(stream)).inputs)
    assert model.cost.labels == 1
    assert model.cost.backwards == 2 * 4 * 42
    assert Simatta().steps > 42  # or the rule would never be reached


@pytest.mark.parametrize(("cold_start", "share"), [(0, 0.5), (100, 0.2)])
def test_a_step_goes_down_the_weighted_losses_of_one_sample_of_each_kind(net, stream, cold_start, share):
    """[54] One labelled and one sure sample: (1 - a) CE(sure) + a CE(labelled), a = 1 / 2, or .2 while there are few sure ones."""
    oracle, batch = Asked(stream), next(iter(stream)).inputs
    model = adapt(net, Simatta(clusters=1, growth=0, budget=1, lr=0.1, low=9.0, sure=1, batch=3, steps=1, cold_start=cold_start), oracle=oracle)
    model(batch)
    copied = copy.deepcopy(net).eval().requires_grad_(True)
    with torch.no_grad():
        surest = int(entropy(net(batch)).argmin())
    sure, own = batch[surest : surest + 1], batch[oracle.ids[0] : oracle.ids[0] + 1]
    label = stream.labels(torch.tensor(oracle.ids))
    loss = (1 - share) * F.cross_entropy(copied(sure), net(sure).argmax(1)) + share * F.cross_entropy(copied(own), label)
    loss.backward()
    moved = dict(model.state.model.named_parameters())
    for name, parameter in copied.named_parameters():
        assert torch.allclose(moved[name], parameter - 0.1 * parameter.grad, atol=1e-5)


@pytest.mark.parametrize("freeze", [True, False])
def test_statistics_move_while_it_learns_unless_they_are_frozen(net, stream, freeze):
    model = adapt(net, Simatta(lr=0.0, steps=1, freeze=freeze), oracle=Asked(stream))
    batch = next(iter(stream)).inputs
    model(batch)
    with torch.no_grad():
        assert torch.equal(model.state.predict(batch), net(batch)) is freeze


def test_an_oracle_is_asked_for(net):
    with pytest.raises(ValueError, match="oracle"):
        adapt(net, Simatta())
    with pytest.raises(ValueError, match="clusters"):
        Simatta(clusters=0)

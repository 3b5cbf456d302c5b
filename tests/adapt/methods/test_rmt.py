"""[99] RMT: the symmetric loss, the contrast of three views, and who predicts."""

import copy
import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.losses import symmetric_cross_entropy  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.rmt import Rmt, contrast  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

SOURCE = Source(images(256, seed=7), labels(256, seed=7))


@pytest.fixture(scope="module")
def net():
    return trained()


def test_three_equal_views_of_orthogonal_samples_have_the_closed_form():
    """Each view has 2 positives at cosine 1 and 3B - 3 negatives at 0: log(2 + (3B - 3) e^-10) at temperature .1, .69335 for B = 4."""
    views = torch.eye(4)[:, None].repeat(1, 3, 1)
    expected = math.log(2 + 9 * math.exp(-10))
    assert contrast(views, 0.1).item() == pytest.approx(expected, abs=1e-5)
    assert expected == pytest.approx(0.69335, abs=1e-5)


def test_the_reverse_half_keeps_pulling_where_both_agree():
    """At student = teacher cross-entropy's gradient is 0, that of the symmetric loss is not: half of the entropy's own."""
    logits = torch.tensor([[1.0, 0.0]]).requires_grad_()
    symmetric_cross_entropy(logits, logits.detach()).sum().backward()
    p = logits.detach().softmax(1)
    expected = -0.5 * p * (p.log() - (p * p.log()).sum())
    assert torch.allclose(logits.grad, expected, atol=1e-6)
    assert float(logits.grad.abs().max()) > 0.01


def test_without_warm_up_and_step_it_is_twice_bn_adapt(net):
    batch = images(32, shift=0.5)
    found = adapt(net, Rmt(lr=0.0, warm_up=0), source=SOURCE)(batch)
    assert torch.allclose(found, 2 * adapt(net, BatchNormAdapt())(batch), atol=1e-4)


def test_the_teacher_is_warmed_with_the_student_and_then_follows(net):
    fixed = adapt(net, Rmt(momentum=1.0, lr=1e-2), source=SOURCE)
    fixed(images(32, shift=0.5))
    assert torch.equal(fixed.state.teacher.head.weight, net.head.weight)
    assert not torch.equal(fixed.state.model.head.weight, net.head.weight)
    warm = adapt(net, Rmt(momentum=0.5, lr=1e-2), source=SOURCE)
    assert not torch.equal(warm.state.teacher.head.weight, net.head.weight)
    before, student = warm.state.teacher.head.weight.clone(), warm.state.model
    warm(images(32, shift=0.5))
    assert torch.allclose(warm.state.teacher.head.weight, 0.5 * before + 0.5 * student.head.weight, atol=1e-6)


def test_prototypes_are_the_labelled_classes_mean_features_under_batch_statistics(net):
    """A source in the order of its classes, and wrong labels on purpose: neither order nor prediction decides, labels do."""
    order = SOURCE.labels.argsort()
    given = (SOURCE.labels[order] + 1) % 4
    found = adapt(net, Rmt(warm_up=0, warm_batch=256), source=Source(SOURCE.inputs[order], given)).state.prototypes
    with torch.no_grad():
        body = copy.deepcopy(net).train().body
        features = body(SOURCE.inputs[order]).flatten(1)
    assert torch.allclose(found, torch.stack([features[given == label].mean(0) for label in range(4)]), atol=1e-4)


def test_the_order_of_the_source_decides_no_warm_up(net):
    """A trap: batches of one class each have batch statistics of that class. Every warm-up batch is drawn from the whole source."""
    seen = []
    order = SOURCE.labels.argsort()
    method = Rmt(warm_up=256, warm_batch=64)

    class Watched(type(net)):
        def forward(self, batch):
            if torch.is_grad_enabled():
                seen.append(batch)
            return super().forward(batch)

    watched = Watched()
    watched.load_state_dict(net.state_dict())
    adapt(watched.eval(), method, source=Source(SOURCE.inputs[order], SOURCE.labels[order]))
    places = {row.numpy().tobytes(): int(label) for row, label in zip(SOURCE.inputs, SOURCE.labels, strict=True)}
    assert len(seen) == 4
    for batch in seen:
        assert len({places[row.numpy().tobytes()] for row in batch}) == 4


def test_replay_needs_labels_and_costs_as_many_passes_as_it_shows(net):
    with pytest.raises(ValueError, match="labels"):
        adapt(net, Rmt(replay=1.0), source=SOURCE.inputs)
    free, replaying = (adapt(net, Rmt(replay=weight, warm_up=0), source=SOURCE) for weight in (0.0, 1.0))
    for model in (free, replaying):
        model(images(32, shift=0.5))
    assert replaying.cost.forwards - free.cost.forwards == 32
    assert replaying.cost.backwards - free.cost.backwards == 32


@pytest.mark.parametrize("made", [lambda: Rmt(momentum=1.5), lambda: Rmt(warm_batch=1)])
def test_knobs_out_of_range_are_named(made):
    with pytest.raises(ValueError, match=r"momentum|warm_batch"):
        made()

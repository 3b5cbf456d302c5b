"""[60] The flipped loss, the queue, a policy that learns to be hard, and a head that stays."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.losses import cross_entropy_to, entropy, marginal_entropy, reverse_cross_entropy_to  # noqa: E402
from outthink.adapt.methods.tesla import Queue, Tesla  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


def test_the_flipped_loss_is_negative_information_and_a_divergence():
    draws = torch.Generator().manual_seed(0)
    logits, target = torch.randn(20, 5, generator=draws), torch.randn(20, 5, generator=draws).softmax(1)
    p = logits.softmax(1)
    divergence = (p * (p.log() - target.log())).sum(1).mean()
    found = reverse_cross_entropy_to(target, logits).mean() - marginal_entropy(logits)
    assert float(found) == pytest.approx(float(divergence + entropy(logits).mean() - marginal_entropy(logits)), abs=1e-5)


def test_its_gradient_by_the_probabilities_does_not_depend_on_them():
    target = torch.tensor([[0.7, 0.2, 0.1]])
    grads = []
    for logits in (torch.tensor([[5.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 5.0]])):
        p = logits.softmax(1).requires_grad_()
        (-(p * target.log()).sum()).backward()
        grads.append(p.grad)
    assert torch.equal(*grads)


def test_a_queue_holds_the_latest_of_each_class_and_the_nearest_count():
    queue = Queue(2)
    features = torch.eye(3)
    labels = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    queue.add(features, labels)
    queue.add(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[0.6, 0.4]]))
    assert queue.kept[0][1].tolist() == labels[1:2].tolist() + torch.tensor([[0.6, 0.4]]).tolist()
    assert torch.allclose(queue.refined(torch.tensor([[0.0, 0.0, 2.0]]), 1), labels[2:])
    assert torch.allclose(queue.refined(torch.tensor([[0.5, 1.0, 0.0]]), 2), (labels[1:2] + torch.tensor([[0.6, 0.4]])) / 2)


def test_the_policy_learns_augmentations_that_the_teacher_doubts(net):
    """Entropy under the learnt policy against one that never learnt, on fresh images."""
    state = adapt(net, Tesla(norm=0.0)).state
    fresh = copy.deepcopy(state.policy)
    for seed in range(40):
        state.harden(images(64, seed=seed).clamp(0, 1))
    draws, batch = torch.Generator().manual_seed(0), images(400, seed=99).clamp(0, 1)
    with torch.no_grad():
        doubt = [float(entropy(state.teacher(one.applied(batch, one.drawn(400, draws)))).mean()) for one in (state.policy, fresh)]
    assert doubt[0] > doubt[1] + 0.1


def test_the_head_stays_and_the_teacher_predicts_after_the_step(net):
    model = adapt(net, Tesla(momentum=0.5, lr=1e-2))
    batch = images(32, shift=0.5).clamp(0, 1)
    found = model(batch)
    assert torch.equal(model.state.model.head.weight, net.head.weight)
    with torch.no_grad():
        assert torch.equal(found, model.state.teacher(batch))
        assert not torch.allclose(found, model.state.model(batch))


def test_with_a_teacher_that_stays_only_the_student_moves(net):
    model = adapt(net, Tesla(momentum=1.0, lr=1e-2))
    batch = images(32).clamp(0, 1)
    assert torch.equal(model(batch), model(batch))


def test_cost_is_what_it_says(net):
    model = adapt(net, Tesla(views=3))
    model(images(32).clamp(0, 1))
    assert (model.cost.forwards, model.cost.backwards) == (32 * (3 + 5), 32 * 3)


def test_a_plain_cross_entropy_is_another_loss(net):
    batch = images(32, shift=0.5).clamp(0, 1)
    outputs = []
    for flipped in (True, False):
        model = adapt(net, Tesla(flipped=flipped, momentum=0.0, lr=1e-2))
        outputs.append(model(batch))
    assert not torch.allclose(*outputs)
    assert float(cross_entropy_to(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))) == pytest.approx(0.6931, abs=1e-3)


def test_knobs_out_of_range_are_named():
    with pytest.raises(ValueError, match="views"):
        Tesla(views=0)

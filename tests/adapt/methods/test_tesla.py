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
        doubt = [float(entropy(state.teacher(one.applied(batch, one.drawn(400, draws), draws))).mean()) for one in (state.policy, fresh)]
    assert doubt[0] > doubt[1] + 0.1


def test_the_head_stays_and_the_teacher_predicts_after_the_step(net):
    model = adapt(net, Tesla(momentum=0.5, lr=1e-2))
    batch = images(32, shift=0.5).clamp(0, 1)
    found = model(batch)
    assert torch.equal(model.state.model.head.weight, net.head.weight)
    with torch.no_grad():
        assert torch.equal(found, model.state.teacher(batch))
        assert not torch.allclose(found, model.state.model(batch))


def test_with_a_teacher_that_stays_only_the_student_and_running_moments_move(net):
    """The sample alone goes through the teacher: its running mean is .9 of the source's and .1 of the batch's, and it predicts by that."""
    model = adapt(net, Tesla(momentum=1.0, lr=1e-2, views=0, hard=0.0))
    batch = images(32, shift=0.5).clamp(0, 1)
    found = model(batch)
    teacher, layer = model.state.teacher, net.body[1]
    assert all(torch.equal(now, before) for now, before in zip(teacher.parameters(), net.parameters(), strict=True))
    assert not torch.equal(model.state.model.body[0].weight, net.body[0].weight)
    maps = net.body[0](batch)
    mean, variance = teacher.body[1].statistics.mean, teacher.body[1].statistics.variance
    assert torch.allclose(mean, 0.9 * layer.running_mean + 0.1 * maps.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(variance, 0.9 * layer.running_var + 0.1 * maps.var((0, 2, 3), correction=1), atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(found[:5], teacher(batch[:5]), atol=1e-4)


def test_the_policy_hardens_the_view_that_the_student_sees(net):
    model = adapt(net, Tesla(views=3, view=lambda batch, draws: batch + torch.rand((), generator=draws)))
    taught, learnt, hardened, batch = [], [], [], images(16).clamp(0, 1)
    applied = model.state.policy.applied
    model.state.policy.applied = lambda shown, *given: hardened.append(shown) or applied(shown, *given)
    model.state.teacher.register_forward_pre_hook(lambda _, inputs: taught.append(inputs[0]))
    model.state.model.register_forward_pre_hook(lambda _, inputs: learnt.append(inputs[0]))
    seen = set()
    for _ in range(8):
        taught.clear()
        learnt.clear()
        hardened.clear()
        model(batch)
        assert len(hardened) == 2  # to learn from, and for the student
        assert all(torch.equal(shown, learnt[0]) for shown in hardened)
        assert torch.equal(taught[0], learnt[0])  # before hardening, and the student's
        assert torch.equal(taught[-2], batch)  # the last that trains running moments
        assert torch.equal(taught[-1], batch)  # the prediction
        seen.add(torch.equal(learnt[0], batch))
    assert seen == {True, False}  # the sample itself is one of the views


def test_the_loss_is_the_sum_of_three_terms_on_two_views(net):
    """[60] -sum p log q - H(mean p) on the view, and 2 CE(q, hard view), where q comes from the queue."""
    model = adapt(net, Tesla(views=1, hard=2.0))
    logits, targets, losses = [], [], []
    model.state.model.register_forward_hook(lambda *given: logits.append(given[2].detach()))
    refined = model.state.queue.refined
    model.state.queue.refined = lambda *given: targets.append(refined(*given)) or targets[-1]
    model.state.descend = lambda loss, samples: losses.append(float(loss.detach()))
    model(images(32, shift=0.5).clamp(0, 1))
    p, q = logits[0].softmax(1), targets[0]
    mean = p.mean(0)
    expected = -(p * q.log()).sum(1).mean() + (mean * mean.log()).sum() - 2 * (q * logits[1].log_softmax(1)).sum(1).mean()
    assert not torch.allclose(logits[0], logits[1])
    assert losses == [pytest.approx(expected.item(), rel=1e-4)]


def test_labels_are_those_of_the_nearest_in_the_queue(net):
    """[60] With one neighbour and a place for one of each class, a label is one of the queue's, not the teacher's own mean."""
    batch, targets = images(32).clamp(0, 1), []
    model = adapt(net, Tesla(views=0, hard=0.0, queue=1, lr=0.0))
    original = model.state.queue.refined
    model.state.queue.refined = lambda *given: targets.append(original(*given)) or targets[-1]
    model(batch)
    assert len(targets[0].unique(dim=0)) <= 4
    assert Tesla().queue == 2
    assert Tesla().neighbours == 1


def test_cost_is_what_it_says(net):
    model = adapt(net, Tesla(views=3))
    model(images(32).clamp(0, 1))
    assert (model.cost.forwards, model.cost.backwards) == (32 * (3 + 6), 32 * 3)
    easy = adapt(net, Tesla(views=3, hard=0.0))
    easy(images(32).clamp(0, 1))
    assert (easy.cost.forwards, easy.cost.backwards) == (32 * (3 + 3), 32)


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
        Tesla(views=-1)

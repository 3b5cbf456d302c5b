"""[37] RoTTA and NOTE: statistics of their own, memories, and predictions that no neighbour in the batch can change."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.note import InstanceAware, Note  # noqa: E402
from outthink.adapt.methods.rotta import Rotta, timeliness  # noqa: E402
from outthink.adapt.methods.source_model import SourceModel  # noqa: E402
from outthink.adapt.norms import AdaptiveNorm, RunningStatistics, instance_moments  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


def test_a_remembered_samples_weight_starts_at_a_half_and_falls():
    """[37] E(A) = exp(-A) / (1 + exp(-A))."""
    ages = torch.arange(0.0, 200.0)
    weights = timeliness(ages, 64)
    assert weights[0] == 0.5
    assert bool((weights.diff() < 0).all())
    assert torch.allclose(weights, torch.exp(-ages / 64) / (1 + torch.exp(-ages / 64)))


def test_rotta_whose_statistics_and_weights_stand_still_is_the_source(net):
    batches = [images(64, seed=seed, shift=0.5) for seed in range(3)]
    model, plain = adapt(net, Rotta(alpha=0.0, nu=0.0)), adapt(net, SourceModel())
    for batch in batches:
        assert torch.allclose(model(batch), plain(batch), atol=1e-5)


def test_rottas_statistics_follow_their_recursion(net):
    """After one update the first layer holds (1 - alpha) source + alpha memory, for the teacher that saw the clean memory."""
    model = adapt(net, Rotta(alpha=0.3, every=32, memory=32))
    model(images(32, seed=1, shift=0.5))
    layer = next(m for m in model.state.teacher.modules() if isinstance(m, RunningStatistics))
    seen = net.body[0](model.state.bank.inputs())
    assert torch.allclose(layer.mean, 0.7 * net.body[1].running_mean + 0.3 * seen.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(layer.variance, 0.7 * net.body[1].running_var + 0.3 * seen.var((0, 2, 3), correction=0), atol=1e-5)


def test_rottas_teacher_moves_by_nu_and_predicts_before_it_does(net):
    batch = images(64, seed=2, shift=1.0)
    model = adapt(net, Rotta(nu=0.25, lr=0.1))
    assert torch.allclose(model(batch), adapt(net, SourceModel())(batch), atol=1e-5)
    first = net.body[1].weight
    student = next(m for m in model.state.model.modules() if isinstance(m, AdaptiveNorm)).weight
    teacher = next(m for m in model.state.teacher.modules() if isinstance(m, AdaptiveNorm)).weight
    assert not torch.equal(student, first)
    assert torch.allclose(teacher - first, 0.25 * (student - first), atol=1e-6)
    assert torch.equal(model.state.model.head.weight, net.head.weight)


@pytest.mark.parametrize("method", [Rotta(every=10**6), Note(every=10**6)])
def test_no_prediction_depends_on_the_rest_of_the_batch(net, method):
    batch = images(32, seed=3, shift=0.5)
    together = adapt(net, method)(batch)
    alone = torch.cat([adapt(net, method)(row[None]) for row in batch])
    assert torch.allclose(together, alone, atol=1e-5)


def test_an_update_comes_after_the_asked_number_of_samples_whatever_the_batches(net):
    for size in (16, 64):
        model = adapt(net, Rotta(every=64))
        for seed in range(128 // size):
            model(images(size, seed=seed))
        assert model.state.waiting == 0
        model(images(16, seed=9))
        assert model.state.waiting == 16


def _still(statistics):
    statistics.learning = False
    return statistics


def test_while_learning_instance_aware_moments_stand_on_those_of_the_batch_and_pass_gradients(net):
    """Far from the source, and with k -> infinity, a layer that learns is batch normalisation in train mode, with an unbiased variance."""
    layer = net.body[1]
    batch = (5 + 2 * torch.randn(16, 8, 8, 8, generator=torch.Generator().manual_seed(0))).requires_grad_()
    statistics = InstanceAware(layer, 0.25, 1e9)
    mean, variance = statistics(AdaptiveNorm(layer, statistics), batch)
    assert torch.allclose(mean, batch.mean((0, 2, 3)).expand_as(mean), atol=1e-5)
    assert torch.allclose(variance, batch.var((0, 2, 3), correction=1).expand_as(variance), atol=1e-5)
    assert torch.allclose(statistics.variance, 0.75 * layer.running_var + 0.25 * batch.var((0, 2, 3), correction=1), atol=1e-5)
    assert not statistics.variance.requires_grad
    (gradient,) = torch.autograd.grad(variance[0].sum(), batch)
    assert bool((gradient[1:] != 0).any())


def test_what_chance_explains_counts_with_the_layers_eps(net):
    """A channel whose running variance is 0 still allows k standard errors of eps before a sample's own mean counts."""
    layer = torch.nn.BatchNorm2d(1, eps=0.25).eval()
    layer.running_var.zero_()
    statistics = _still(InstanceAware(layer, 0.1, 1.0))
    batch = torch.full((1, 1, 5, 5), 0.3)
    mean, variance = statistics(AdaptiveNorm(layer, statistics), batch)
    assert mean.item() == pytest.approx(0.3 - (0.25 / 25) ** 0.5)
    assert variance.item() == 0.0


def test_instance_aware_moments_lie_between_the_running_ones_and_the_samples_own(net):
    layer, batch = net.body[1], 3 + 2 * torch.randn(16, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    norm = AdaptiveNorm(layer, _still(InstanceAware(layer, 0.1, 0.0)))
    own = (instance_moments(batch)[0], batch.flatten(2).var(2, correction=1))
    found = norm.statistics(norm, batch)
    assert torch.allclose(found[0], own[0], atol=1e-5)  # k = 0: instance normalisation
    assert torch.allclose(found[1], own[1], atol=1e-5)
    far = _still(InstanceAware(layer, 0.1, 1e9))(norm, batch)
    assert torch.equal(far[0], layer.running_mean.expand_as(far[0]))  # k -> infinity: the running moments
    assert torch.equal(far[1], layer.running_var.expand_as(far[1]))
    between = _still(InstanceAware(layer, 0.1, 2.0))(norm, batch)
    limit = 2.0 * ((layer.running_var + layer.eps) / 64).sqrt()
    assert torch.allclose((own[0] - between[0]).abs().clamp_max(limit), torch.minimum((own[0] - layer.running_mean).abs(), limit), atol=1e-5)


def test_note_learns_from_its_memory_alone_and_moves_running_moments_by_the_momentum(net):
    model = adapt(net, Note(every=64, memory=64, momentum=0.2))
    model(images(64, seed=4, shift=0.5))
    layer = next(m for m in model.state.model.modules() if isinstance(m, InstanceAware))
    seen = net.body[0](model.state.bank.inputs())
    assert torch.allclose(layer.mean, 0.8 * net.body[1].running_mean + 0.2 * seen.mean((0, 2, 3)), atol=1e-5)
    assert model.cost.backwards == 64


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Rotta(memory=0), "memory"),
        (lambda: Rotta(alpha=2), "alpha"),
        (lambda: Note(every=0), "every"),
        (lambda: Note(strength=-1), "strength"),
    ],
)
def test_knobs_out_of_range_are_named(made, said):
    with pytest.raises(ValueError, match=said):
        made()


def test_without_batch_normalisation_there_is_nothing_to_follow():
    for method in (Rotta(), Note()):
        with pytest.raises(ValueError, match="batch normalisation"):
            adapt(trained("group"), method)


def test_bn_adapt_is_what_alpha_one_gives_the_memory(net):
    """alpha 1: the teacher normalises its memory as a layer in train mode does."""
    batch = images(64, seed=5, shift=0.5)
    model = adapt(net, Rotta(alpha=1.0, nu=0.0, memory=64, every=64))
    model(batch)
    held = model.state.bank.inputs()
    with torch.no_grad():
        kept = model.state.teacher(held)
    assert torch.allclose(kept, adapt(net, BatchNormAdapt())(held), atol=1e-4)

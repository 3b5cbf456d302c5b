"""One layer, many statistics: what each must equal exactly."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import Net, images, trained  # noqa: E402
from torch import nn  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.norms import (  # noqa: E402
    AdaptiveNorm,
    BatchStatistics,
    BlendStatistics,
    InstanceMixture,
    RobustStatistics,
    RunningStatistics,
    SourceStatistics,
    instance_moments,
    moments,
    replace_norms,
)


@pytest.fixture
def layer():
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(5)
    for _ in range(3):
        norm(3 * torch.randn(16, 5, 4, 4) + 1)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.eval()


@pytest.fixture
def batch():
    return 2 * torch.randn(12, 5, 4, 4, generator=torch.Generator().manual_seed(2)) - 1


def test_the_ends_of_the_blend_are_source_and_train_mode_bit_for_bit():
    net, shifted = trained(), images(32, shift=0.7)
    source = adapt(net, BatchNormAdapt(alpha=0.0))(shifted)
    assert torch.equal(source, net(shifted).detach())
    batch_mode = adapt(net, BatchNormAdapt(alpha=1.0))(shifted)
    assert torch.equal(batch_mode, net.train()(shifted).detach())


def test_the_written_out_formula_is_torchs(layer, batch):
    with torch.no_grad():
        assert torch.allclose(AdaptiveNorm(layer, BlendStatistics(0.0))(batch), layer(batch), atol=1e-5)
        assert torch.allclose(AdaptiveNorm(layer, BlendStatistics(1.0))(batch), AdaptiveNorm(layer, BatchStatistics())(batch), atol=1e-5)
        assert torch.equal(AdaptiveNorm(layer, SourceStatistics())(batch), layer(batch))


def test_a_prior_counts_samples(layer, batch):
    norm = AdaptiveNorm(layer, BlendStatistics(prior=12))
    mean, variance = norm.statistics(norm, batch)
    assert torch.allclose(mean, (layer.running_mean + batch.mean((0, 2, 3))) / 2)
    assert torch.allclose(variance, (layer.running_var + batch.var((0, 2, 3), correction=0)) / 2)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_running_statistics_follow_their_recursion(layer, batch, alpha):
    running = RunningStatistics(layer, alpha)
    norm = AdaptiveNorm(layer, running)
    expected = layer.running_mean.clone()
    for step in range(4):
        norm(batch + step)
        expected = (1 - alpha) * expected + alpha * (batch + step).mean((0, 2, 3))
    assert torch.allclose(running.mean, expected, atol=1e-6)


def test_gradients_flow_through_the_statistics_of_the_batch(layer, batch):
    # one sample's output depends on another through the batch's moments, and only there
    for statistics, coupled in (
        (SourceStatistics(), False),
        (BatchStatistics(), True),
        (BlendStatistics(0.3), True),
        (RunningStatistics(layer, 0.3), True),
    ):
        inputs = batch.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((AdaptiveNorm(layer, statistics)(inputs)[0] ** 2).sum(), inputs)
        assert bool((gradient[1:] != 0).any()) == coupled


def test_the_mixtures_expected_moments_are_the_sources():
    # without the factor K / (K - 1) the expected variance would be 2.227 for a source of 2.3 and K = 16
    norm = nn.BatchNorm2d(20_000)
    norm.running_mean.fill_(0.7)
    norm.running_var.fill_(2.3)
    mixture = InstanceMixture(norm, 16, torch.Generator().manual_seed(0))
    of_mixture = mixture.variances.mean(0) + mixture.means.var(0, correction=0)
    assert float(mixture.means.mean()) == pytest.approx(0.7, abs=0.01)
    assert float(of_mixture.mean()) == pytest.approx(2.3, abs=0.01)


def test_one_component_is_instance_normalisation(layer, batch):
    norm = AdaptiveNorm(layer, InstanceMixture(layer, 1, torch.Generator()))
    assert torch.equal(norm.statistics.variances[0], layer.running_var)  # nothing to spread
    expected = nn.functional.instance_norm(batch, weight=layer.weight, bias=layer.bias, eps=layer.eps)
    assert torch.allclose(norm(batch), expected, atol=1e-4)


def test_the_mixture_normalises_before_it_moves(layer, batch):
    mixture = InstanceMixture(layer, 4, torch.Generator().manual_seed(0))
    before = mixture.means.clone()
    first = mixture(AdaptiveNorm(layer, mixture), batch)[0]
    assert not torch.equal(mixture.means, before)
    mixture.means = before
    mixture.variances = InstanceMixture(layer, 4, torch.Generator().manual_seed(0)).variances
    assert torch.equal(mixture(AdaptiveNorm(layer, mixture), batch)[0], first)


def test_a_few_poisoned_samples_move_robust_moments_little(layer, batch):
    norm = AdaptiveNorm(layer, RobustStatistics())
    poisoned = batch.clone()
    poisoned[0] = 1e4
    plain, robust = (abs(s(norm, poisoned)[0] - s(norm, batch)[0]).max() for s in (BatchStatistics(), RobustStatistics()))
    assert plain > 100
    assert robust < 0.5
    loud = torch.randn(400, 5, 8, 8, generator=torch.Generator().manual_seed(3)) * 3 + 2
    mean, variance = RobustStatistics()(norm, loud)
    assert torch.allclose(mean, torch.full((5,), 2.0), atol=0.1)
    assert torch.allclose(variance.sqrt(), torch.full((5,), 3.0), atol=0.1)


def test_replaced_layers_share_their_weights_and_are_counted():
    net = Net().eval()
    weight = net.body[1].weight
    assert replace_norms(net, lambda *_: SourceStatistics()) == 2
    assert net.body[1].weight is weight


@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 5), (4, 3, 5, 6), (2, 3, 2, 3, 4)])
def test_moments_and_their_gradients_are_exact(shape):
    values = torch.randn(shape, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 3 + 5
    mean, variance = moments(values)
    axes = [axis for axis in range(len(shape)) if axis != 1]
    torch.testing.assert_close(mean, values.mean(axes))
    torch.testing.assert_close(variance, values.var(axes, correction=0))
    values.requires_grad_(True)
    assert torch.autograd.gradcheck(moments, (values,))
    assert torch.autograd.gradgradcheck(moments, (values,))
    if len(shape) > 2:
        assert torch.autograd.gradcheck(instance_moments, (values,))


def test_moments_do_not_depend_on_how_a_batch_lies_in_memory():
    values = torch.randn(4, 6, 8, 6, generator=torch.Generator().manual_seed(0))
    for other in (values.to(memory_format=torch.channels_last), values[:, ::2, :, ::2]):
        for measure in (moments, instance_moments):
            for found, plain in zip(measure(other), measure(other.contiguous()), strict=True):
                torch.testing.assert_close(found, plain)


def test_constants_of_each_sample_give_what_the_formula_gives(layer, batch):
    norm = AdaptiveNorm(layer, InstanceMixture(layer, 4, torch.Generator().manual_seed(0)))
    with torch.no_grad():
        found = norm(batch)
    again = AdaptiveNorm(layer, InstanceMixture(layer, 4, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(found, again(batch.clone().requires_grad_(True)).detach())


def test_a_lone_vector_has_no_variance_and_the_refusal_says_what_does_fit():
    layer = nn.BatchNorm1d(3)
    norm = AdaptiveNorm(layer, BatchStatistics())
    with pytest.raises(ValueError, match="one vector has no variance; use a larger batch"):
        norm(torch.randn(1, 3))
    assert norm(torch.randn(2, 3)).shape == (2, 3)

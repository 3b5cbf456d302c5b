"""CoTTA, MEMO and [130] UnMix: who predicts, what falls back, and what no neighbour can change."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.augment import ImageViews, Jitter  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.cotta import Cotta  # noqa: E402
from outthink.adapt.methods.memo import Memo  # noqa: E402
from outthink.adapt.methods.unmix import Unmix  # noqa: E402
from outthink.adapt.norms import AdaptiveNorm, InstanceMixture, instance_moments  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


def test_cotta_with_a_fixed_teacher_and_a_sure_source_is_bn_adapt(net):
    model, plain = adapt(net, Cotta(momentum=1.0, confidence=0.0, lr=0.1)), adapt(net, BatchNormAdapt())
    for seed in range(3):
        batch = images(32, seed=seed, shift=0.5)
        assert torch.allclose(model(batch), plain(batch), atol=1e-5)
    assert not torch.equal(model.state.model.head.weight, net.head.weight)  # the student did move


def test_cotta_that_restores_everything_has_the_sources_weights_again(net):
    model = adapt(net, Cotta(restore=1.0, lr=0.1, views=2))
    model(images(32, shift=0.5))
    assert all(torch.equal(now, before) for now, before in zip(model.state.model.parameters(), net.parameters(), strict=True))


def test_cotta_looks_at_views_only_where_the_source_is_unsure(net):
    batch = images(32, shift=0.5)
    sure, unsure = adapt(net, Cotta(confidence=0.0, views=5)), adapt(net, Cotta(confidence=1.01, views=5))
    sure(batch)
    unsure(batch)
    assert sure.cost.forwards == 3 * 32  # source, teacher, student
    assert unsure.cost.forwards == (1 + 5 + 1) * 32


def test_memo_forgets_each_sample_so_that_neither_order_nor_batches_count(net):
    batch = images(12, seed=1, shift=0.5)
    method = Memo(lr=0.05, views=4)
    forwards = adapt(net, method)(batch)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(adapt(net, method)(batch[order]), forwards[order], atol=1e-5)
    model = adapt(net, method)
    assert torch.allclose(torch.cat([model(batch[:5]), model(batch[5:])]), forwards, atol=1e-5)


def test_memo_without_a_step_is_the_blend_of_a_lone_sample(net):
    """With no step the sample is predicted alone, normalised with 1 / (1 + prior) of its own moments, the variance unbiased."""
    batch = images(6, seed=2, shift=0.5)
    expected = []
    for row in batch:
        blended = copy.deepcopy(net)
        for layer in (m for m in blended.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            layer.register_forward_pre_hook(_one_seventeenth)
        with torch.no_grad():
            expected.append(blended(row[None]))
    assert torch.allclose(adapt(net, Memo(steps=0))(batch), torch.cat(expected), atol=1e-5)


def _one_seventeenth(layer, inputs):
    torch.nn.functional.batch_norm(inputs[0], layer.running_mean, layer.running_var, None, None, True, 1 / 17)


def test_memo_blends_its_views_as_it_blends_one_sample_and_takes_their_moments_as_constants(net):
    """[31] However many views there are, the source counts 16 to 1, and the gradient sees the batch's moments as given."""
    batch = images(32, seed=8, shift=0.5).requires_grad_()
    layer = next(m for m in adapt(net, Memo()).state.model.modules() if isinstance(m, AdaptiveNorm))
    maps = net.body[0](batch)
    mean, variance = layer.statistics(layer, maps)
    assert torch.allclose(mean, (16 * layer.source_mean + maps.mean((0, 2, 3))) / 17, atol=1e-5)
    assert torch.allclose(variance, (16 * layer.source_variance + maps.var((0, 2, 3), correction=1)) / 17, atol=1e-5)
    assert not mean.requires_grad


def test_memo_draws_new_views_for_every_step(net):
    seen = []

    def watch(batch, generator):
        seen.append(ImageViews()(batch, generator))
        return seen[-1]

    adapt(net, Memo(steps=2, views=4, view=watch))(images(1))
    assert len(seen) == 2
    assert not torch.equal(seen[0], seen[1])


def test_memos_views_of_other_data_differ():
    """A trap: noise in units of the batch's deviation is none on copies of one sample."""
    seen = []
    hook = lambda module, inputs: seen.append(inputs[0])  # noqa: E731
    flat = torch.nn.Sequential(torch.nn.Linear(6, 3)).eval()
    model = adapt(flat, Memo(views=4))
    model.state.model.register_forward_pre_hook(hook)
    model(torch.randn(1, 6, generator=torch.Generator().manual_seed(0)))
    assert len(seen[0].unique(dim=0)) == 4


def test_memos_step_lowers_the_marginal_entropy_it_was_made_for(net):
    sample = images(1, seed=3, shift=1.5)
    still = adapt(net, Memo(steps=0, view=Jitter(0.0)))(sample).softmax(1)
    moved = adapt(net, Memo(steps=5, lr=0.01, view=Jitter(0.0)))(sample).softmax(1)
    assert float(torch.special.entr(moved).sum()) < float(torch.special.entr(still).sum())


def test_views_of_other_data_need_no_images():
    torch.manual_seed(0)
    flat = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    batch = torch.randn(16, 6)
    assert torch.isfinite(adapt(flat, Cotta(views=2))(batch)).all()
    assert torch.isfinite(adapt(flat, Memo(views=4))(batch)).all()
    with pytest.raises(ValueError, match="Jitter"):
        adapt(flat, Memo(view=ImageViews()))(batch)


def test_unmix_with_one_component_is_instance_normalisation(net):
    """[130] The softmax over one component is 1, so every layer takes each sample's own moments."""
    batch = torch.randn(8, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    norm = AdaptiveNorm(net.body[1], InstanceMixture(net.body[1], 1, torch.Generator(), momentum=0.0))
    mean, variance = norm.statistics(norm, batch)
    own = instance_moments(batch)
    assert torch.allclose(mean, own[0], atol=1e-5)
    assert torch.allclose(variance, own[1], atol=1e-5)


def test_unmix_takes_nearness_as_given(net):
    """The official code finds the shares without a gradient: a sample's mean moves its moments by the mean share alone."""
    layer, batch = net.body[1], torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mixture = InstanceMixture(layer, 3, torch.Generator().manual_seed(2), momentum=0.0)
    own = batch.detach().mean((2, 3))
    share = (torch.nn.functional.cosine_similarity(own, mixture.means) / 0.07).softmax(0)
    (gradient,) = torch.autograd.grad(mixture(AdaptiveNorm(layer, mixture), batch)[0].sum(), batch)
    assert torch.allclose(gradient, (share.mean() / 64).expand_as(gradient), atol=1e-6)


def test_unmix_normalises_before_it_moves_its_components(net):
    """A trap: with components moved first, the same sample twice in a row would be normalised differently in the first call."""
    batch = images(16, seed=4, shift=0.5)
    moving, still = adapt(net, Unmix(momentum=0.5, largest_batch=16), seed=1), adapt(net, Unmix(momentum=0.0), seed=1)
    assert torch.equal(moving(batch), still(batch))
    assert not torch.equal(moving(batch), still(batch))


def test_unmix_components_move_by_momentum_of_the_mean_weighted_distance(net):
    layer = net.body[1]
    mixture = InstanceMixture(layer, 3, torch.Generator().manual_seed(2), momentum=0.2, largest_batch=4)
    norm, batch = AdaptiveNorm(layer, mixture), 1 + torch.randn(8, 8, 8, 8, generator=torch.Generator().manual_seed(3))
    before = mixture.means.clone()
    own = instance_moments(batch)[0]
    share = (torch.nn.functional.cosine_similarity(own[:, None], before[None], dim=2) / 0.07).softmax(1)
    mixture(norm, batch)
    step = 1 - 0.8 ** (8 / 4)
    expected = torch.stack([before[k] + step * (share[:, k, None] * (own - before[k])).mean(0) for k in range(3)])
    assert torch.allclose(mixture.means, expected, atol=1e-5)


def test_unmix_takes_one_sample_as_well_as_many(net):
    batch = images(16, seed=5, shift=0.5)
    alone = torch.cat([adapt(net, Unmix(), seed=3)(row[None]) for row in batch])
    assert torch.allclose(adapt(net, Unmix(), seed=3)(batch), alone, atol=1e-5)


def test_unmix_changes_weights_only_when_it_is_given_a_step_size(net):
    batch = images(32, seed=6, shift=0.5)
    for lr, moved in ((0.0, False), (1e-2, True)):
        model = adapt(net, Unmix(lr=lr))
        model(batch)
        scale = next(m for m in model.state.model.modules() if isinstance(m, AdaptiveNorm)).weight
        assert torch.equal(scale, net.body[1].weight) is not moved


@pytest.mark.parametrize(
    ("made", "said"), [(lambda: Cotta(views=0), "views"), (lambda: Cotta(momentum=2), "momentum"), (lambda: Memo(views=0), "views")]
)
def test_knobs_out_of_range_are_named(made, said):
    with pytest.raises(ValueError, match=said):
        made()

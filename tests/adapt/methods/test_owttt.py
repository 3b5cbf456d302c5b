"""[73] OWTTT: the threshold, the pool of unknown prototypes, and who learns."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, trained  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.gaussians import symmetric_divergence  # noqa: E402
from outthink.adapt.methods.owttt import Owttt, otsu_on_grid  # noqa: E402
from outthink.adapt.norms import AdaptiveNorm, TrainStatistics, moving  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

SOURCE = Source(images(256, seed=7))


@pytest.fixture(scope="module")
def net():
    return trained()


@given(st.integers(0, 40), st.integers(55, 99), st.integers(1, 20), st.integers(1, 20))
def test_a_mixture_of_two_points_is_cut_between_them(low, high, first, second):
    scores = torch.tensor([low / 100] * first + [high / 100] * second, dtype=torch.float64) + 0.001
    assert low / 100 + 0.001 < otsu_on_grid(scores) <= high / 100 + 0.001


def test_one_point_splits_nothing_off():
    assert otsu_on_grid(torch.full((20,), 0.305)) == 1.0
    assert otsu_on_grid(torch.tensor([0.4])) == 1.0


def test_the_criterion_is_least_at_the_cut():
    scores = torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 2
    cut = otsu_on_grid(scores)

    def within(at):
        sides = [scores[scores >= at], scores[scores < at]]
        return sum(float(((side - side.mean()) ** 2).sum()) for side in sides if len(side)) if all(len(side) for side in sides) else float("inf")

    assert within(cut) == pytest.approx(min(within(step / 100) for step in range(100)), rel=1e-9)


def test_the_pool_never_exceeds_its_size_and_holds_what_is_far_from_the_prototypes(net):
    model = adapt(net, Owttt(pool=3, lr=0.0), source=SOURCE)
    generator = torch.Generator().manual_seed(0)
    for seed in range(8):
        model(torch.cat([images(16, seed=seed), 3 * torch.randn(16, 1, 8, 8, generator=generator)]))
        assert len(model.state.pool) <= 3
    assert len(model.state.pool) > 0
    assert torch.allclose(model.state.pool.norm(dim=1), torch.ones(len(model.state.pool)), atol=1e-5)


def test_a_stranger_alone_comes_into_the_pool_once_and_the_farthest_first(net):
    state = adapt(net, Owttt(pool=3), source=SOURCE).state
    width = state.prototypes.shape[1]
    draw = torch.Generator().manual_seed(0)
    stranger = torch.nn.functional.normalize(torch.randn(1, width, generator=draw), dim=1)
    state._grow(stranger)
    assert torch.equal(state.pool, stranger)
    state._grow(stranger)
    assert len(state.pool) == 1  # it is no distance from itself
    others = torch.nn.functional.normalize(torch.randn(6, width, generator=draw), dim=1)
    fresh = adapt(net, Owttt(), source=SOURCE).state
    far = 1 - (others @ fresh.prototypes.T).amax(1)
    limit = otsu_on_grid(far)
    fresh._grow(others)
    assert torch.equal(fresh.pool[0], others[far.argmax()])
    held = []
    for row in far.argsort(descending=True).tolist():
        nearest = max([1 - float(far[row]), *(float(others[row] @ others[other]) for other in held)])
        if 1 - nearest > limit:
            held.append(row)
    assert torch.equal(fresh.pool, others[held])


def test_a_step_is_down_the_clustering_and_the_alignment(net):
    """By definition on the second batch, where there is a pool: plain autograd on a copy, SGD's momentum from the first step included."""
    way = Owttt(lr=0.05)
    batches = [torch.cat([images(24, seed=s, shift=0.3), 3 * torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(s))]) for s in (1, 2)]
    model = adapt(net, way, source=SOURCE)
    model(batches[0])
    state = model.state
    twin = copy.deepcopy(state)
    assert len(state.pool)
    velocity = [state.optimiser.state[p]["momentum_buffer"].clone() for p in state.optimiser.param_groups[0]["params"]]
    unit = torch.nn.functional.normalize(twin.split(batches[1])[1], dim=1)
    cosines = unit @ twin.prototypes.T
    score = (1 - cosines.amax(1)).detach()
    tau = otsu_on_grid(torch.cat([twin.scores, score])[-512:])
    unknown = score >= tau
    assert 0 < int(unknown.sum()) < 48
    loss = 0.2 * twin.clustering(unit, cosines, score, unknown, twin.pool)
    moving(twin.model, True)
    now = twin.known.updated(twin.split(batches[1][~unknown])[1], least=1 / 1280)
    moving(twin.model, False)
    loss = loss + 0.05 * symmetric_divergence(twin.anchor, now, twin.ridge)
    slopes = torch.autograd.grad(loss, twin.optimiser.param_groups[0]["params"])
    before = [p.detach().clone() for p in state.optimiser.param_groups[0]["params"]]
    model(batches[1])
    for own, old, speed, slope in zip(state.optimiser.param_groups[0]["params"], before, velocity, slopes, strict=True):
        assert torch.allclose(own, old - 0.05 * (0.9 * speed + slope), rtol=1e-3, atol=1e-5)


def test_scores_returned_are_cosines_over_delta_and_the_head_stays(net):
    model = adapt(net, Owttt(delta=0.2), source=SOURCE)
    logits = model(images(32, shift=0.5))
    assert float(logits.abs().max()) <= 5 + 1e-4
    assert torch.equal(model.state.model.head.weight, net.head.weight)
    assert not torch.equal(model.state.model.body[0].weight, net.body[0].weight)


def test_only_the_half_farthest_from_the_threshold_learns(net):
    state = adapt(net, Owttt(), source=SOURCE).state
    unit = torch.nn.functional.normalize(
        torch.rand(12, state.prototypes.shape[1], generator=torch.Generator().manual_seed(1)), dim=1
    ).requires_grad_()
    cosines = unit @ state.prototypes.T
    score = torch.linspace(0.05, 0.95, 12)
    state.clustering(unit, cosines, score, score > 0.5, state.prototypes[:1]).backward()
    learns = (unit.grad.abs().sum(1) > 0).tolist()
    # of six on each side those strictly beyond the middle one, as the official code cuts
    assert learns == [True] * 3 + [False] * 6 + [True] * 3 or learns == [True] * 2 + [False] * 7 + [True] * 3


def test_the_losses_of_both_sides_count_half_each(net):
    state = adapt(net, Owttt(delta=1.0), source=SOURCE).state
    unit = state.prototypes[:2].clone()
    cosines = unit @ state.prototypes.T
    known, pool = torch.tensor([False, False]), state.prototypes[:0]
    alone = state.clustering(unit, cosines, torch.tensor([0.1, 0.2]), known, pool)
    assert float(alone) == pytest.approx(float(torch.nn.functional.cross_entropy(cosines, torch.tensor([0, 1]))) / 2, rel=1e-5)
    stranger = state.clustering(unit, cosines, torch.tensor([0.8, 0.9]), ~known, state.prototypes[:1])
    seen = torch.cat([cosines, (unit @ state.prototypes[:1].T)], 1)
    assert float(stranger) == pytest.approx(float(torch.nn.functional.cross_entropy(seen, torch.tensor([4, 4]))) / 2, rel=1e-5)


def test_statistics_move_by_the_known_alone_and_serve_the_prediction(net):
    model = adapt(net, Owttt(lr=0.0, align=0.0), source=SOURCE)
    batch = images(32, shift=0.5)
    plain = adapt(net, Owttt(lr=0.0, align=0.0), source=SOURCE).state.preview(batch)
    layers = [module for module in model.state.model.modules() if isinstance(module, TrainStatistics)]
    before = [layer.mean.clone() for layer in layers]
    model(batch)
    assert all(not torch.equal(layer.mean, kept) for layer, kept in zip(layers, before, strict=True))
    assert not torch.allclose(model.state.preview(batch), plain)
    assert not any(layer.learning for layer in layers)


def test_a_layer_learns_as_in_training():
    layer = torch.nn.BatchNorm2d(3)
    batch = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    own = AdaptiveNorm(layer.eval(), TrainStatistics(layer, 0.1))
    found = own(batch)
    wanted = layer.train()(batch)
    assert torch.allclose(found, wanted, atol=1e-5)
    own.statistics.learning = False
    assert torch.allclose(own(batch), layer.eval()(batch), atol=1e-5)


def test_the_decision_looks_back_on_the_queue_alone():
    way = Owttt(queue=8, delta=1.0)
    scores = torch.tensor([0.1, 0.1, 0.9, 0.9, 0.1, 0.9, 0.1, 0.1, 0.3, 0.3, 0.3, 0.3, 0.31, 0.8, 0.3, 0.3])
    found = way.unknown((1.0 - scores)[:, None], batch=4)
    assert found[:6].tolist() == [False, False, True, True, False, True]
    assert found[12:].tolist() == [False, True, False, False]


def test_a_batch_without_unknown_samples_goes_on(net):
    model = adapt(net, Owttt(), source=SOURCE)
    for _ in range(3):
        assert torch.isfinite(model(images(1, seed=3).repeat(16, 1, 1, 1))).all()


@pytest.mark.parametrize("made", [lambda: Owttt(delta=0), lambda: Owttt(pool=0)])
def test_knobs_out_of_range_are_named(made):
    with pytest.raises(ValueError, match="delta"):
        made()

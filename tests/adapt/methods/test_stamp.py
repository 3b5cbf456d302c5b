"""[84] STAMP: who is remembered, how much each counts, and the sharpness-aware step."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.losses import entropy  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.stamp import Stamp, self_weighted  # noqa: E402
from outthink.adapt.sharpness import climbed  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


def test_without_views_and_step_it_is_bn_adapt(net):
    model, plain = adapt(net, Stamp(views=0, lr=0.0)), adapt(net, BatchNormAdapt())
    for seed in range(3):
        batch = images(32, seed=seed, shift=0.5)
        assert torch.allclose(model(batch).softmax(1), plain(batch).softmax(1), atol=1e-5)


def test_a_sample_in_doubt_is_never_remembered(net):
    model = adapt(net, Stamp(margin=0.1, views=2))
    for seed in range(4):
        model(torch.cat([images(16, seed=seed), 0.1 * torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(seed))]))
    assert len(model.state.bank) > 0
    assert float(model.state.bank.scores.max()) < 0.1 * math.log(4)
    none = adapt(net, Stamp(margin=0.0))
    none(images(32))
    assert len(none.state.bank) == 0
    assert none.cost.backwards == 0


def test_certain_samples_count_for_more_and_the_weights_sum_to_their_number():
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    doubt = entropy(logits)
    weights = 20 * torch.exp(-doubt) / torch.exp(-doubt).sum()
    assert float(weights.sum()) == pytest.approx(20, rel=1e-5)
    assert self_weighted(logits, detach=True).item() == pytest.approx(float((weights * doubt).mean()), rel=1e-5)
    assert self_weighted(logits, detach=True).item() < float(doubt.mean())


def test_the_switch_changes_the_gradient_and_not_the_value():
    values = []
    for detach in (True, False):
        logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = self_weighted(logits, detach=detach)
        loss.backward()
        values.append((loss.item(), logits.grad))
    assert values[0][0] == values[1][0]
    assert not torch.allclose(values[0][1], values[1][1])


def test_a_climb_goes_rho_uphill_and_comes_back():
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    with climbed([weight], (weight**2).sum() / 2, 0.5):
        assert torch.allclose(weight, torch.tensor([3.3, 4.4]))  # along (3, 4) / 5
    assert torch.allclose(weight, torch.tensor([3.0, 4.0]))
    with pytest.raises(RuntimeError), climbed([weight], (weight**2).sum(), 0.5):
        raise RuntimeError
    assert torch.allclose(weight, torch.tensor([3.0, 4.0]))


def test_the_step_size_falls_to_nothing(net):
    model = adapt(net, Stamp(updates=3, views=0))
    for seed in range(8):
        model(images(32, seed=seed))
    assert model.state.optimiser.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)


def test_cost_is_what_it_says(net):
    model = adapt(net, Stamp(views=3))
    model(images(32))
    held = len(model.state.bank)
    assert model.cost.forwards == 32 * (1 + 3 + 1) + 2 * held
    assert model.cost.backwards == 2 * held


@pytest.mark.parametrize("made", [lambda: Stamp(views=-1), lambda: Stamp(memory=0), lambda: Stamp(updates=0)])
def test_knobs_out_of_range_are_named(made):
    with pytest.raises(ValueError, match="memory"):
        made()

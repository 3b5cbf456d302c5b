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
    assert self_weighted(logits, 20, detach=True).item() == pytest.approx(float((weights * doubt).mean()), rel=1e-5)
    assert self_weighted(logits, 20, detach=True).item() < float(doubt.mean())
    # a memory that holds 20 of 64 steps as far as a full one
    assert self_weighted(logits, 64, detach=True).item() == pytest.approx(64 / 20 * float((weights * doubt).mean()), rel=1e-5)


def test_the_switch_changes_the_gradient_and_not_the_value():
    values = []
    for detach in (True, False):
        logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = self_weighted(logits, 20, detach=detach)
        loss.backward()
        values.append((loss.item(), logits.grad))
    assert values[0][0] == values[1][0]
    assert not torch.allclose(values[0][1], values[1][1])


def test_a_climb_goes_rho_uphill_and_comes_back():
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    with climbed([weight], (weight**2).sum() / 2, 0.5):
        assert torch.allclose(weight, torch.tensor([3.3, 4.4]))  # along (3, 4) / 5
    assert torch.equal(weight, torch.tensor([3.0, 4.0]))
    with pytest.raises(RuntimeError), climbed([weight], (weight**2).sum(), 0.5):
        raise RuntimeError
    assert torch.equal(weight, torch.tensor([3.0, 4.0]))


def test_a_climb_gives_back_every_bit():
    weight = torch.nn.Parameter(torch.randn(1000, generator=torch.Generator().manual_seed(0)))
    before = weight.detach().clone()
    with climbed([weight], (weight**3).sum(), 0.5):
        assert not torch.equal(weight, before)
    assert torch.equal(weight, before)


def test_the_step_size_follows_a_cosine_down_and_up_again(net):
    model = adapt(net, Stamp(updates=3, views=0))
    seen = []
    for seed in range(7):
        model(images(32, seed=seed))
        seen.append(model.state.optimiser.param_groups[0]["lr"])
    scheduled = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(scheduled, 3)
    wanted = []
    for _ in range(7):
        wanted.append(scheduled.param_groups[0]["lr"])
        scheduled.step()
        schedule.step()
    assert seen == pytest.approx(wanted, abs=1e-9)


def test_a_sample_is_remembered_under_the_label_of_its_plain_prediction(net):
    def inverted(batch, generator):
        return -batch

    model, plain = adapt(net, Stamp(views=9, view=inverted, margin=10.0, lr=0.0)), adapt(net, BatchNormAdapt())
    batch = images(32)
    views = model(batch).argmax(1)
    own = plain(batch).argmax(1)
    assert not torch.equal(views, own)
    assert torch.equal(model.state.bank.labels, own)  # model and source are one here, so all are remembered in order


def test_smoothed_counts_move_once_a_batch(net):
    model = adapt(net, Stamp(views=0, lr=0.0, margin=10.0, memory=200))
    first, second = images(32), images(32, seed=1)
    model(first)
    one = torch.tensor(model.state.bank.counts(), dtype=torch.float64)
    assert model.state.balance.smoothed == pytest.approx((0.1 * one).tolist())
    model(second)
    both = torch.tensor(model.state.bank.counts(), dtype=torch.float64)
    assert model.state.balance.smoothed == pytest.approx((0.09 * one + 0.1 * both).tolist())


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

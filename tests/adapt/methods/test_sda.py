import copy
import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.diffusion import Schedule, low_pass, project  # noqa: E402
from outthink.adapt.methods.sda import Sda  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

SOURCE = Source(images(64, seed=7), labels(64, seed=7))
KNOBS = Sda(images=10, denoising_epochs=40, epochs=2)


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def made(net):
    return KNOBS.prepare(net, SOURCE, seed=0)


def test_order_and_batches_change_no_prediction(made):
    batch = images(12, seed=3)
    whole = adapt(made, KNOBS)(batch)
    turned, alone = adapt(made, KNOBS), adapt(made, KNOBS)
    assert torch.allclose(turned(batch.flip(0)).flip(0), whole, atol=1e-4)
    assert torch.allclose(torch.cat([alone(one[None]) for one in batch]), whole, atol=1e-4)


def test_the_prediction_is_the_mean_of_both_classifiers(made):
    batch, model = images(12, seed=3), adapt(made, KNOBS)
    found = model(batch).softmax(1)
    moved = made.projected(batch, model.state.noises, factor=KNOBS.factor, scale=KNOBS.scale)
    assert torch.allclose(found, (made.model(batch).softmax(1) + made.tuned(moved).softmax(1)) / 2, atol=1e-5)
    assert (moved - batch).abs().max() > 0.1


def test_images_are_projected_without_a_class_and_held_by_the_root_of_their_size(made):
    batch, half = images(6, seed=3), (made.high - made.low) / 2
    noises = torch.randn((4, 1, *batch.shape[1:]), generator=torch.Generator().manual_seed(0))
    wanted = project(
        made.denoiser, Schedule(made.kept), (batch - made.low) / half - 1, noises, none=4, keep=lambda x: low_pass(x, 2),
        scale=6.0 * (64 / (3 * 256 * 256)) ** 0.5,
    )  # fmt: skip
    assert torch.allclose(made.projected(batch, noises, factor=2, scale=6.0), (wanted + 1) * half + made.low, atol=1e-5)


def test_the_copy_learns_from_projected_images_and_the_source_classifier_stays(net, made):
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), made.model.state_dict().values(), strict=True))
    assert not torch.equal(net.head.weight, made.tuned.head.weight)
    assert torch.equal(net.body[1].running_mean, made.tuned.body[1].running_mean)
    seen = torch.arange(4)
    plain = dataclasses.replace(KNOBS, align=False)
    # the same draws of the generator: only the projection is between them
    drawn, moved = (way.synthetic(made, seen, torch.Generator().manual_seed(0)) for way in (plain, KNOBS))
    draw = torch.Generator().manual_seed(0)
    plain.synthetic(made, seen, draw)
    noises = torch.randn((KNOBS.steps + 1, *drawn.shape), generator=draw)
    assert torch.equal(made.projected(drawn, noises, factor=KNOBS.factor, scale=KNOBS.scale), moved)
    assert not torch.allclose(drawn, moved, atol=0.1)


def test_it_counts_what_it_costs(made):
    model = adapt(made, KNOBS)
    model(images(5))
    assert (model.cost.forwards, model.cost.backwards) == (5 * 52, 5 * 50)
    free = adapt(made, dataclasses.replace(KNOBS, scale=0.0))
    free(images(5))
    assert (free.cost.forwards, free.cost.backwards) == (5 * 52, 0)


def test_an_attacker_is_shown_the_prediction_that_comes(made):
    model, batch = adapt(made, KNOBS), images(6, seed=2)
    foreseen = copy.deepcopy(model).state.preview(batch.requires_grad_())
    slope = torch.autograd.grad(foreseen[0].exp()[0], batch)[0].flatten(1).norm(dim=1)
    assert slope[0] > 0
    assert slope[1:].max() == 0
    assert torch.allclose(model(batch), foreseen, atol=1e-5)


def test_preparing_twice_gives_the_same(net, made):
    again = KNOBS.prepare(net, SOURCE, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), made.state_dict().values(), strict=True))


def test_bad_input_is_refused_in_one_sentence(net):
    with pytest.raises(ValueError, match="prepared at the source"):
        adapt(net, KNOBS)
    with pytest.raises(ValueError, match="labels"):
        KNOBS.prepare(net, Source(images(8)), seed=0)
    with pytest.raises(ValueError, match="divide"):
        Sda(factor=3).prepare(net, SOURCE, seed=0)
    with pytest.raises(ValueError, match="everywhere"):
        KNOBS.prepare(net, Source(torch.zeros(4, 1, 8, 8), torch.zeros(4).long()), seed=0)
    with pytest.raises(ValueError, match="steps"):
        Sda(steps=0)

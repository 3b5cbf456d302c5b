import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.video_ttt import Reconstructing, VideoTTT  # noqa: E402
from outthink.adapt.networks import CifarResNet  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

SOURCE = Source(images(128, seed=7), labels(128, seed=7))


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def made(net):
    return VideoTTT(epochs=5).prepare(net, SOURCE, seed=0)


def frames(count):
    return images(count, seed=11, shift=1.0)


def test_no_step_is_the_prepared_model_on_whole_frames(made):
    assert torch.allclose(adapt(made, VideoTTT(lr=0.0))(frames(5)), made(frames(5)), atol=1e-5)


def test_the_head_stays_and_the_encoder_changes(made):
    model = adapt(made, VideoTTT())
    before = copy.deepcopy(model.state.model.state_dict())
    model(frames(3))
    after = model.state.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("head" in name or "running" in name for name in moved)
    assert {"model.body.0.weight", "model.body.3.weight", "token"} <= moved


def test_steps_lower_the_reconstruction_error(made):
    model, still = adapt(made, VideoTTT(steps=20)), frames(1)
    masks = made.masks(16, 0.8, torch.Generator().manual_seed(5))
    model(still)
    assert model.state.video.error(still.repeat(16, 1, 1, 1), masks) < 0.95 * made.error(still.repeat(16, 1, 1, 1), masks)


def test_batches_are_frames_in_their_order(made):
    whole, one_by_one = adapt(made, VideoTTT(window=3)), adapt(made, VideoTTT(window=3))
    assert torch.equal(whole(frames(6)), torch.cat([one_by_one(frame[None]) for frame in frames(6)]))
    assert torch.equal(whole.state.frames, frames(6)[-3:])
    assert whole.cost.backwards == 6 * 16
    assert whole.cost.forwards == 6 * 17


def test_no_frame_sees_the_future(made):
    first, second = adapt(made, VideoTTT()), adapt(made, VideoTTT())
    other = torch.cat([frames(8)[:4], images(4, seed=99)])
    assert torch.equal(first(frames(8))[:4], second(other)[:4])


def test_a_fresh_start_on_each_frame_forgets_what_came_before(made):
    # window 1 and no carrying: only the generator knows of the past
    model = adapt(made, VideoTTT(window=1, carry=False))
    model(frames(4))
    here = model.state.generator.get_state()
    fresh = adapt(made, VideoTTT(window=1, carry=False))
    fresh.state.generator.set_state(here)
    last = images(1, seed=50)
    assert torch.equal(model(last), fresh(last))
    carried = adapt(made, VideoTTT(window=1))
    carried(frames(4))
    carried.state.generator.set_state(here)
    assert not torch.equal(carried(last), adapt(made, VideoTTT(window=1))(last))


def test_no_momentum_passes_from_frame_to_frame(made):
    model = adapt(made, VideoTTT())
    model(frames(2))
    assert model.state.optimiser is not None
    assert not model.state.optimiser.state


def test_masks_hide_whole_patches_the_same_number_in_each(made):
    masks = made.masks(50, 0.8, torch.Generator().manual_seed(0))
    assert masks.shape == (50, 1, 8, 8)
    blocks = masks.reshape(50, 4, 2, 4, 2).float().mean((2, 4))
    assert set(blocks.unique().tolist()) == {0.0, 1.0}
    assert (blocks.sum((1, 2)) == 13).all()  # round(0.8 * 16)
    assert made.masks(5, 0.999, torch.Generator()).flatten(1).float().mean(1).max() < 1


def test_hidden_pixels_are_not_seen_and_shown_ones_not_scored(made):
    batch = images(4)
    masks = made.masks(4, 0.5, torch.Generator().manual_seed(0))
    noise = torch.randn_like(batch)
    seen = []
    hook = made.model.body[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made.error(batch, masks)
    made.error(torch.where(masks, noise, batch), masks)
    hook.remove()
    assert torch.equal(*seen)
    # the decoder's last layer at zero says zero everywhere, so the error is the hidden pixels' mean square
    zero = copy.deepcopy(made)
    torch.nn.init.zeros_(zero.decoder[2].weight)
    torch.nn.init.zeros_(zero.decoder[2].bias)
    assert torch.allclose(zero.error(batch, masks), batch[masks].square().mean())


def test_the_decoders_parts_stand_where_their_cells_do(made):
    # the last layer's bias alone: every cell shows the same tile
    tiled = copy.deepcopy(made)
    torch.nn.init.zeros_(tiled.decoder[2].weight)
    tile = torch.rand(2, 2)
    tiled.decoder[2].bias.data = tile.flatten()
    everywhere = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    assert float(tiled.error(tile.repeat(4, 4)[None, None], everywhere).detach()) < 1e-12


def test_joint_training_reconstructs_and_keeps_the_classes(net, made):
    hide = made.masks(64, 0.5, torch.Generator().manual_seed(1))
    fresh = VideoTTT(epochs=0).prepare(net, SOURCE, seed=0)
    test = images(64, seed=8)
    assert made.error(test, hide) < 0.9 * fresh.error(test, hide)
    assert (made(test).argmax(1) == labels(64, seed=8)).float().mean() > 0.9


def test_it_splits_a_residual_network_at_its_last_stage():
    pixels = Source(torch.rand(4, 3, 32, 32), torch.arange(4))
    made = VideoTTT(epochs=1).prepare(CifarResNet(blocks=1).eval(), pixels, seed=0)
    assert made.layer == "layer3"
    assert made.patch == 4
    names = {id(parameter): name for name, parameter in made.model.named_parameters()}
    assert {names[id(p)] for p in made.encoder_parameters()} == set(names.values()) - {"linear.weight", "linear.bias"}


def test_what_does_not_fit_is_refused(net):
    with pytest.raises(ValueError, match="prepared at the source"):
        adapt(net, VideoTTT())
    with pytest.raises(ValueError, match="patches of 3"):
        VideoTTT(patch=3).prepare(net, SOURCE, seed=0)
    with pytest.raises(ValueError, match="window"):
        VideoTTT(window=0)
    with pytest.raises(ValueError, match=r"no layer 'nowhere'.*body\.5"):
        VideoTTT(layer="nowhere").prepare(net, SOURCE, seed=0)
    assert isinstance(VideoTTT(epochs=0).prepare(net, SOURCE, seed=0), Reconstructing)

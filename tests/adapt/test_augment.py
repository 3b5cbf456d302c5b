"""Views: identity at zero ranges, known geometry, independence of samples, and the generator as the only source of chance."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.augment import ImageViews, Jitter, default_views  # noqa: E402

STILL = ImageViews(flip=False, degrees=0, translate=0, zoom=0, brightness=0, contrast=0, noise=0)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def ramp(height=6, width=10):
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.stack([rows, columns])[None].repeat(64, 1, 1, 1)


def test_no_range_is_no_change():
    batch = torch.randn(5, 3, 7, 9, generator=draw())
    assert torch.allclose(STILL(batch, draw()), batch, atol=1e-5)


def test_a_flip_mirrors_columns_exactly_and_about_half_of_the_images():
    batch = torch.randn(400, 1, 4, 6, generator=draw())
    views = ImageViews(degrees=0, translate=0, zoom=0, brightness=0, contrast=0, noise=0)(batch, draw(1))
    mirrored = torch.isclose(views, batch.flip(3), atol=1e-5).flatten(1).all(1)
    same = torch.isclose(views, batch, atol=1e-5).flatten(1).all(1)
    assert bool((mirrored ^ same).all())
    assert 150 < int(mirrored.sum()) < 250


def test_a_turn_keeps_angles_on_images_that_are_not_square():
    """On coordinate ramps a turn by t shows as the gradient (cos t, sin t); with wrong aspect ratio the two channels' slopes disagree."""
    batch = ramp(21, 41)
    views = ImageViews(flip=False, degrees=10, translate=0, zoom=0, brightness=0, contrast=0, noise=0)(batch, draw(2))
    inside = views[:, :, 6:15, 12:29]
    down, right = inside.diff(dim=2).mean((2, 3)), inside.diff(dim=3).mean((2, 3))  # (64, 2): slopes of both ramps along rows and columns
    assert torch.allclose(down[:, 0], right[:, 1], atol=1e-3)  # both cosines
    assert torch.allclose(down[:, 1], -right[:, 0], atol=1e-3)  # sines of opposite sign
    assert torch.allclose(down[:, 0] ** 2 + down[:, 1] ** 2, torch.ones(64), atol=1e-3)  # a turn, no stretch
    assert float(down[:, 1].abs().max()) > 0.1


def test_a_shift_moves_by_at_most_its_share_of_the_side():
    batch = ramp(20, 20)
    views = ImageViews(flip=False, degrees=0, translate=0.1, zoom=0, brightness=0, contrast=0, noise=0)(batch, draw(3))
    moved = (views - batch)[:, :, 5:15, 5:15].mean((2, 3))  # (64, 2): rows, columns
    assert float(moved.abs().max()) <= 2.0 + 1e-4  # a tenth of 20 pixels
    assert float(moved.abs().max()) > 1.5
    assert moved[:, 0].unique().numel() > 60  # each image its own


def test_views_come_from_the_generator_alone_and_need_no_range_of_values():
    batch = 5 * torch.randn(8, 1, 6, 6, generator=draw())
    assert torch.equal(ImageViews()(batch, draw(4)), ImageViews()(batch, draw(4)))
    assert not torch.equal(ImageViews()(batch, draw(4)), ImageViews()(batch, draw(5)))
    assert float(ImageViews()(batch, draw(4)).abs().max()) > 2  # not clamped


def test_gradients_reach_the_pixels():
    batch = torch.randn(4, 1, 6, 6, generator=draw()).requires_grad_()
    ImageViews()(batch, draw()).square().sum().backward()
    assert float(batch.grad.abs().sum()) > 0


def test_jitter_is_measured_in_each_features_deviation():
    batch = torch.randn(4000, 3, generator=draw()) * torch.tensor([1.0, 10.0, 0.0])
    noise = Jitter(0.5)(batch, draw(6)) - batch
    assert torch.allclose(noise.std(0), torch.tensor([0.5, 5.0, 0.0]), rtol=0.05)
    assert torch.isfinite(Jitter()(batch[:1], draw())).all()


def test_data_of_other_shapes_gets_noise_and_image_views_say_so():
    assert isinstance(default_views(torch.zeros(2, 1, 4, 4)), ImageViews)
    assert isinstance(default_views(torch.zeros(2, 5)), Jitter)
    with pytest.raises(ValueError, match=r"Jitter"):
        ImageViews()(torch.zeros(2, 5), draw())
    with pytest.raises(ValueError, match="0 or more"):
        ImageViews(degrees=-1)

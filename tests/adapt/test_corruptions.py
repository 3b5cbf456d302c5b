"""Corruptions: the published constants, the size of what they add, and images of any size."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.corruptions import CORRUPTIONS, corrupt  # noqa: E402
from outthink.adapt.images import box_weights, plasma  # noqa: E402
from outthink.core.errors import UsageError  # noqa: E402

# hendrycks/robustness, ImageNet-C/create_c/make_cifar_c.py; zoom: the last factor; elastic: in parts of 32 pixels
PUBLISHED = {
    "gaussian_noise": [0.04, 0.06, 0.08, 0.09, 0.10],
    "shot_noise": [500, 250, 100, 75, 50],
    "impulse_noise": [0.01, 0.02, 0.03, 0.05, 0.07],
    "speckle_noise": [0.06, 0.1, 0.12, 0.16, 0.2],
    "gaussian_blur": [0.4, 0.6, 0.7, 0.8, 1],
    "defocus_blur": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    "motion_blur": [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
    "zoom_blur": [1.06, 1.11, 1.16, 1.21, 1.26],
    "fog": [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    "brightness": [0.05, 0.1, 0.15, 0.2, 0.3],
    "contrast": [0.75, 0.5, 0.4, 0.3, 0.15],
    "saturate": [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)],
    "elastic_transform": [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)],
    "pixelate": [0.95, 0.9, 0.85, 0.75, 0.65],
    "jpeg_compression": [80, 65, 58, 50, 40],
}
every = pytest.mark.parametrize("name", sorted(CORRUPTIONS))


def pictures(count=6, channels=3, side=32, seed=0):
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 6, 6, generator=draw)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear").clamp(0, 1)


def grey(count=4, level=0.5, side=32):
    return torch.full((count, 3, side, side), level)


def test_constants_are_the_published_ones():
    own = {name: [tuple(constants) for constants in one.severities] for name, one in CORRUPTIONS.items()}
    assert own == {name: [one if isinstance(one, tuple) else (one,) for one in row] for name, row in PUBLISHED.items()}


@every
def test_same_seed_same_images_in_range_and_the_originals_stay(name):
    images = pictures()
    before = images.clone()
    first = corrupt(images, name, severity=3, seed=5)
    assert torch.equal(first, corrupt(images, name, severity=3, seed=5))
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.equal(first, images)


@every
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 12, 20), (1, 4, 5), (3, 48, 33)])
def test_images_of_any_size(name, channels, height, width):
    images = torch.rand(3, channels, height, width, generator=torch.Generator().manual_seed(0))
    if CORRUPTIONS[name].colour and channels == 1:
        with pytest.raises(ValueError, match="one channel"):
            corrupt(images, name, severity=5, seed=0)
        return
    for severity in range(1, 6):
        changed = corrupt(images, name, severity=severity, seed=0)
        assert changed.shape == images.shape
        assert torch.isfinite(changed).all()


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "contrast", "brightness", "fog", "zoom_blur"])
def test_severities_grow(name):
    images = pictures(40)
    distance = [float(((corrupt(images, name, severity=severity, seed=1) - images) ** 2).mean()) for severity in range(1, 6)]
    assert distance == sorted(distance)
    assert distance[0] > 0


@pytest.mark.parametrize(
    ("name", "deviation"),
    [("gaussian_noise", 0.10), ("shot_noise", math.sqrt(0.5 / 50)), ("speckle_noise", 0.1), ("impulse_noise", math.sqrt(0.07 / 4))],
)
def test_noise_has_its_standard_deviation(name, deviation):
    noise = corrupt(grey(30), name, severity=5, seed=2) - 0.5
    assert float(noise.std()) == pytest.approx(deviation, rel=0.03)
    assert abs(float(noise.mean())) < 0.003


@pytest.mark.parametrize(
    "name", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "contrast", "pixelate", "elastic_transform", "saturate"]
)
def test_what_only_moves_or_spreads_leaves_an_even_grey_image(name):
    severity = 3 if name == "saturate" else 5  # at 4 and 5 saturate adds colour to grey, as published
    assert torch.allclose(corrupt(grey(), name, severity=severity, seed=0), grey(), atol=1e-5)


def test_contrast_shrinks_about_the_mean_of_each_channel():
    images = pictures()
    changed = corrupt(images, "contrast", severity=5, seed=0)
    assert torch.allclose(changed.mean((2, 3)), images.mean((2, 3)), atol=1e-6)
    assert torch.allclose(changed.std((2, 3)), 0.15 * images.std((2, 3)), atol=1e-6)


def test_colour_changes_agree_with_the_colour_space():
    import colorsys

    images = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    images[0, :, 0, 0] = 0.4  # grey
    images[0, :, 0, 1] = 0.0  # black
    bright, vivid = corrupt(images, "brightness", severity=5, seed=0), corrupt(images, "saturate", severity=5, seed=0)
    for row in range(4):
        for column in range(4):
            hue, saturation, value = colorsys.rgb_to_hsv(*images[0, :, row, column].tolist())
            assert bright[0, :, row, column].tolist() == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.3)), abs=1e-5)
            expected = colorsys.hsv_to_rgb(hue, min(1.0, 2.5 * saturation + 0.2), value)
            assert vivid[0, :, row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_pixelate_is_pillows_box_resampling():
    image = pytest.importorskip("PIL.Image")
    import numpy as np

    pixels = (pictures(1, channels=1)[0, 0] * 255).round().byte()
    for severity, part in enumerate((0.95, 0.9, 0.85, 0.75, 0.65), start=1):
        small = image.fromarray(pixels.numpy()).resize((int(32 * part),) * 2, image.Resampling.BOX).resize((32, 32), image.Resampling.BOX)
        own = corrupt(pixels[None, None].float() / 255, "pixelate", severity=severity, seed=0)[0, 0]
        assert (own * 255 - torch.from_numpy(np.array(small).astype("float32"))).abs().max() < 1.01  # Pillow rounds each pass


def test_box_weights_keep_the_mean_and_the_identity():
    assert torch.equal(box_weights(8, 8), torch.eye(8))
    assert torch.allclose(box_weights(32, 20).sum(0), torch.ones(20))


def test_a_blur_spreads_one_point_by_its_width():
    point = torch.zeros(1, 1, 33, 33)
    point[0, 0, 16, 16] = 1.0
    axis = torch.arange(33.0) - 16
    blurred = corrupt(point, "gaussian_blur", severity=5, seed=0)[0, 0]
    assert float((blurred.sum(1) * axis**2).sum()) == pytest.approx(1.0, rel=0.03)
    disk = corrupt(point, "defocus_blur", severity=5, seed=0)[0, 0]
    assert int((disk > 0.01).sum()) == 9  # a disk of radius 1.5 covers 3 x 3
    moved = corrupt(point.repeat(20, 1, 1, 1), "motion_blur", severity=5, seed=0)
    assert torch.allclose(moved.sum((1, 2, 3)), torch.ones(20), atol=0.05)
    assert (moved[:, 0, :, :15].sum((1, 2)) < 1e-6).all()  # it trails to one side


def test_clouds_fill_their_range_and_differ():
    maps = plasma(8, 20, 2.0, torch.Generator().manual_seed(0))
    assert maps.shape == (8, 32, 32)
    assert torch.equal(maps.amin((1, 2)), torch.zeros(8))
    assert torch.equal(maps.amax((1, 2)), torch.ones(8))
    assert not torch.equal(maps[0], maps[1])
    rough, smooth = (plasma(50, 32, decay, torch.Generator().manual_seed(0)).diff(dim=2).abs().mean() for decay in (1.2, 3.0))
    assert rough > 1.5 * smooth


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, True, "3"])
def test_a_bad_severity_is_refused(severity):
    with pytest.raises(ValueError, match="severity must be 1, 2, 3, 4 or 5"):
        corrupt(pictures(1), "fog", severity=severity, seed=0)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(3, 32, 32), "channels"),
        (torch.zeros(1, 2, 32, 32), "channels"),
        (torch.zeros(1, 1, 3, 32), "sides of 4"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "divide bytes by 255"),
        (torch.full((1, 1, 8, 8), 2.0), "in \\[0, 1\\]"),
        (torch.full((1, 1, 8, 8), float("nan")), "in \\[0, 1\\]"),
    ],
)
def test_bad_images_are_refused(images, said):
    with pytest.raises(ValueError, match=said):
        corrupt(images, "contrast", severity=1, seed=0)


def test_an_unknown_corruption_names_the_nearest():
    with pytest.raises(UsageError, match="gaussian_noise"):
        corrupt(pictures(1), "gausian_noise", severity=1, seed=0)

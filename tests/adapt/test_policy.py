"""[60] Operations at the magnitudes that do nothing, gradients by magnitude, and probabilities that sum to one."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.policy import OPERATIONS, Policy  # noqa: E402

IMAGES = torch.rand(3, 3, 9, 8, generator=torch.Generator().manual_seed(0))
NOTHING = {
    "shear x": 0.0, "shear y": 0.0, "translate x": 0.0, "translate y": 0.0, "rotate": 0.0, "contrast": 1.0, "colour": 1.0, "brightness": 1.0,
    "sharpness": 1.0, "solarise": 5.0, "posterise": 8.0,
}  # fmt: skip
WITHOUT_A_VALUE = ("autocontrast", "invert", "equalise")


def test_there_are_the_pairs_of_the_paper():
    """[60] 14 operations, 91 pairs."""
    assert (len(OPERATIONS), len(Policy().pairs)) == (14, 91)
    assert set(NOTHING) | set(WITHOUT_A_VALUE) == set(OPERATIONS)


@pytest.mark.parametrize("name", NOTHING)
def test_an_operation_that_does_nothing_gives_the_image_back_and_others_do_not(name):
    operation, low, high = OPERATIONS[name]
    assert torch.allclose(operation(IMAGES, torch.full((3,), NOTHING[name])), IMAGES, atol=1 / 255)
    assert not torch.allclose(operation(IMAGES, torch.full((3,), low + 0.2 * (high - low))), IMAGES, atol=1e-2)


@pytest.mark.parametrize("name", NOTHING)
def test_an_operation_has_a_gradient_by_its_magnitude(name):
    operation, low, high = OPERATIONS[name]
    value = torch.full((3,), low + 0.4 * (high - low), requires_grad=True)
    operation(IMAGES, value).square().sum().backward()
    assert float(value.grad.abs().min()) > 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_gradient_reaches_the_image_before(name):
    """The second of a pair passes on what the first one learns from."""
    operation, low, high = OPERATIONS[name]
    before = IMAGES.clone().requires_grad_()
    operation(before, torch.full((3,), low + 0.4 * (high - low))).square().sum().backward()
    assert float(before.grad.abs().sum()) > 1.0


def test_inverted_and_stretched_images_are_whole():
    """Not blends: half an inversion is one gray, whatever the image."""
    half = torch.full((3,), 0.5)
    assert torch.equal(OPERATIONS["invert"][0](IMAGES, half), 1 - IMAGES)
    dull = 0.4 + 0.2 * IMAGES
    stretched = OPERATIONS["autocontrast"][0](dull, half)
    assert torch.allclose(stretched.amin((2, 3)), torch.zeros(3, 3), atol=1e-6)
    assert torch.allclose(stretched.amax((2, 3)), torch.ones(3, 3), atol=1e-6)


def test_an_equalised_image_has_as_many_pixels_of_every_level():
    """[60] The table of levels of the usual algorithm, on an image all of whose levels are dark and each as frequent."""
    dark = (torch.arange(1024.0) // 16).reshape(1, 1, 32, 32) / 255  # 64 levels, 16 pixels each
    found = (255 * OPERATIONS["equalise"][0](dark, torch.zeros(1))).round().flatten()
    step = (1024 - 16) // 255
    expected = ((16 * torch.arange(64) + step // 2) // step).clamp(0, 255).repeat_interleave(16)
    assert torch.equal(found, expected.float())
    few = OPERATIONS["equalise"][0](IMAGES, torch.zeros(3))  # too few pixels for 256 levels
    assert torch.allclose(few, (255 * IMAGES).floor() / 255, atol=1e-6)


def test_a_posterised_image_keeps_its_first_bits():
    found = (255 * OPERATIONS["posterise"][0](torch.arange(256.0).reshape(1, 1, 16, 16) / 255, torch.tensor([4.7]))).round().flatten()
    assert torch.equal(found, (16 * (torch.arange(256) // 16)).float())


def test_images_are_moved_where_they_should_be():
    spot = torch.zeros(1, 1, 9, 9)
    spot[0, 0, 4, 6] = 1.0
    assert float(OPERATIONS["translate x"][0](spot, torch.tensor([4 / 9]))[0, 0, 4, 4]) == pytest.approx(1.0, abs=1e-4)
    turned = OPERATIONS["rotate"][0](spot, torch.tensor([torch.pi / 2]))
    assert {tuple(place) for place in (turned[0, 0] > 0.9).nonzero().tolist()} <= {(2, 4), (6, 4)}
    assert float(turned.sum()) == pytest.approx(1.0, abs=1e-3)


def test_edges_are_mirrored():
    bright = torch.ones(1, 1, 9, 9)
    for name in ("translate x", "translate y", "shear x", "rotate"):
        assert torch.allclose(OPERATIONS[name][0](bright, torch.tensor([0.3])), bright, atol=1e-5)


def test_probabilities_sum_to_one_and_draws_follow_them():
    policy = Policy()
    assert float(policy.probabilities.detach().sum()) == pytest.approx(1.0)
    with torch.no_grad():
        policy.scores[7] = 50.0
    draws = torch.Generator().manual_seed(0)
    assert set(policy.drawn(50, draws).tolist()) == {7}
    assert len(set(policy.drawn(500, draws, uniform=True).tolist())) > 50


def test_each_image_gets_its_own_pair():
    policy, which = Policy(), torch.tensor([0, 30, 65])
    whole, draws = policy.applied(IMAGES, which, torch.Generator().manual_seed(0)), torch.Generator().manual_seed(0)
    alone = torch.cat([policy.applied(IMAGES[row : row + 1], which[row : row + 1], draws) for row in range(3)])
    assert torch.allclose(whole, alone, atol=1e-6)
    assert 0.0 <= whole.min().item() <= whole.max().item() <= 1.0


def test_images_are_moved_to_both_sides_by_the_same_amount():
    policy = Policy()
    with torch.no_grad():
        policy.strengths[:] = 2.0
    names = list(OPERATIONS)
    which = torch.full((40,), policy.pairs.index((names.index("translate x"), names.index("invert"))))
    spot = torch.zeros(40, 1, 9, 9)
    spot[:, 0, 4, 4] = 1.0
    found = 1 - policy.applied(spot, which, torch.Generator().manual_seed(0))
    left, right = found[:, 0, :, :4].sum((1, 2)) > 0.5, found[:, 0, :, 5:].sum((1, 2)) > 0.5
    assert 5 < int(left.sum()) < 35
    assert bool((left != right).all())
    assert torch.allclose(found[left][0], found[right][0].flip(2), atol=1e-5)

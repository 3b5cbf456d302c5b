"""[60] Operations at the magnitudes that do nothing, gradients by magnitude, and probabilities that sum to one."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.policy import OPERATIONS, Policy  # noqa: E402

IMAGES = torch.rand(3, 3, 9, 8, generator=torch.Generator().manual_seed(0))
NOTHING = {
    "shear x": 0.0, "shear y": 0.0, "translate x": 0.0, "translate y": 0.0, "rotate": 0.0, "contrast": 1.0, "colour": 1.0, "brightness": 1.0,
    "sharpness": 1.0, "autocontrast": 0.0, "invert": 0.0, "solarize": 5.0,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_does_nothing_gives_the_image_back_and_others_do_not(name):
    operation, low, high = OPERATIONS[name]
    assert torch.allclose(operation(IMAGES, torch.full((3,), NOTHING[name])), IMAGES, atol=1e-4)
    assert not torch.allclose(operation(IMAGES, torch.full((3,), low + 0.2 * (high - low))), IMAGES, atol=1e-2)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_a_gradient_by_its_magnitude(name):
    operation, low, high = OPERATIONS[name]
    value = torch.full((3,), low + 0.4 * (high - low), requires_grad=True)
    operation(IMAGES, value).square().sum().backward()
    assert float(value.grad.abs().min()) > 0


def test_images_are_moved_where_they_should_be():
    spot = torch.zeros(1, 1, 9, 9)
    spot[0, 0, 4, 6] = 1.0
    assert float(OPERATIONS["translate x"][0](spot, torch.tensor([2 / 9]))[0, 0, 4, 4]) == pytest.approx(1.0, abs=1e-4)
    turned = OPERATIONS["rotate"][0](spot, torch.tensor([torch.pi / 2]))
    assert {tuple(place) for place in (turned[0, 0] > 0.9).nonzero().tolist()} <= {(2, 4), (6, 4)}
    assert float(turned.sum()) == pytest.approx(1.0, abs=1e-3)


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
    whole = policy.applied(IMAGES, which)
    alone = torch.cat([policy.applied(IMAGES[row : row + 1], which[row : row + 1]) for row in range(3)])
    assert torch.allclose(whole, alone, atol=1e-6)
    assert 0.0 <= float(whole.min()) <= float(whole.max()) <= 1.0

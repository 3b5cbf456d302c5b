"""Losses without labels, at the ends of what logits can be."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.losses import entropy_of, information_maximisation, marginal_entropy  # noqa: E402


def test_the_entropy_of_the_mean_is_that():
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    assert float(marginal_entropy(logits)) == pytest.approx(float(entropy_of(logits.softmax(1).mean(0, keepdim=True))), rel=1e-5)


def test_gradients_are_numbers_where_a_probability_underflows():
    logits = torch.tensor([[200.0, 0.0, -5.0], [200.0, 0.0, -5.0]], requires_grad=True)
    marginal_entropy(logits).backward()
    assert torch.isfinite(logits.grad).all()
    assert float(marginal_entropy(logits.detach())) == pytest.approx(0.0, abs=1e-6)


def test_certain_and_balanced_predictions_reach_the_least_information_loss():
    logits = 50.0 * torch.eye(4)
    assert float(information_maximisation(logits)) == pytest.approx(-(torch.tensor(4.0).log().item()), rel=1e-5)

"""Running moments equal those of everything seen; the divergence equals its closed form, and is nothing between equals."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.distributions import MultivariateNormal, kl_divergence  # noqa: E402

from outthink.adapt.gaussians import Gaussian, symmetric_divergence  # noqa: E402


def draw(rows, columns, seed):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 1000))
def test_running_moments_are_the_moments_of_all_that_was_seen(sizes, seed):
    """[42] exactly, whatever the start and the cuts."""
    every = 2 + 3 * draw(sum(sizes), 4, seed)
    running = Gaussian(torch.ones(4, dtype=torch.float64), 5 * torch.eye(4, dtype=torch.float64))
    for part in every.split(sizes):
        running = running.updated(part, least=0.0)
    assert running.count == len(every)
    assert torch.allclose(running.mean, every.mean(0))
    assert torch.allclose(running.covariance, torch.cov(every.T, correction=0), atol=1e-9)


def test_a_least_rate_forgets():
    running = Gaussian(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64), 10**6)
    for seed in range(400):
        running = running.updated(5 + draw(4, 2, seed), least=1 / 64)
    assert torch.allclose(running.mean, torch.full((2,), 5.0, dtype=torch.float64), atol=0.5)


def test_the_gradient_flows_through_the_new_samples_alone():
    old, new = draw(5, 3, 0).requires_grad_(), draw(5, 3, 1).requires_grad_()
    start = Gaussian(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    start.updated(old, least=0.0).updated(new, least=0.0).covariance.sum().backward()
    assert old.grad is None
    assert float(new.grad.abs().sum()) > 0


def test_no_sample_changes_nothing():
    start = Gaussian(torch.zeros(3), torch.eye(3))
    assert start.updated(torch.zeros(0, 3), least=0.1) is start


def test_the_divergence_is_torchs_own_both_ways():
    one, two = draw(50, 3, 2), 1 + 2 * draw(50, 3, 3)
    gaussians = [Gaussian(x.mean(0), torch.cov(x.T, correction=0)) for x in (one, two)]
    normal = [MultivariateNormal(g.mean, g.covariance + 0.1 * torch.eye(3, dtype=torch.float64)) for g in gaussians]
    expected = kl_divergence(normal[0], normal[1]) + kl_divergence(normal[1], normal[0])
    assert torch.allclose(symmetric_divergence(*gaussians, 0.1), expected)


def test_between_equals_there_is_no_divergence_and_no_gradient():
    x = draw(40, 3, 4)
    still = Gaussian(x.mean(0), torch.cov(x.T, correction=0))
    moving = x.clone().requires_grad_()
    found = symmetric_divergence(still, Gaussian(moving.mean(0), torch.cov(moving.T, correction=0)), 0.05)
    found.backward()
    assert abs(found.item()) < 1e-9
    assert float(moving.grad.abs().max()) < 1e-9


def test_two_samples_of_many_features_need_the_ridge():
    few = draw(2, 8, 5)
    singular = Gaussian(few.mean(0), torch.cov(few.T, correction=0))
    with pytest.raises(torch.linalg.LinAlgError):
        symmetric_divergence(singular, singular, 0.0)
    assert torch.isfinite(symmetric_divergence(singular, Gaussian(torch.zeros(8).double(), torch.eye(8).double()), 0.1))

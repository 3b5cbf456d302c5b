"""Training: what is frozen stays, a branch leaves its trunk alone, a causal network sees no future, a seed repeats."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.papers.tiny.networks import CharacterPerceptron, Shape, Transformer, count, freeze  # noqa: E402
from outthink.papers.tiny.training import MASKED, Run, evaluate, following, masked, next_one  # noqa: E402

SYMBOLS = np.tile(np.arange(12), 100)


def _run(seed=0):
    torch.manual_seed(seed)
    return Run(CharacterPerceptron(8, context=3, embedding=4), next_one(SYMBOLS, batch=16, context=3, seed=seed), 1e-2)


def _weights(run):
    return torch.cat([parameter.detach().flatten() for parameter in run.network.parameters()])


def test_training_learns_what_follows():
    run = _run()
    held_out = next_one(SYMBOLS, batch=64, context=3, seed=9)(0)
    before = evaluate(run.network, held_out)
    run.advance(150, lambda step: 1.0)
    assert evaluate(run.network, held_out) < 0.2 * before


def test_a_rate_of_zero_changes_nothing():
    run = _run()
    before = _weights(run)
    run.advance(5, lambda step: 0.0)
    assert torch.equal(_weights(run), before)


def test_a_stop_and_a_branch_change_nothing():
    whole, cut = _run(), _run()
    whole.advance(20, lambda step: 1.0)
    cut.advance(8, lambda step: 1.0)
    twin = cut.branch()
    cut.advance(20, lambda step: 0.5)
    twin.advance(20, lambda step: 1.0)
    assert torch.equal(_weights(twin), _weights(whole))
    assert not torch.equal(_weights(cut), _weights(whole))


def test_frozen_weights_keep_their_first_values_and_the_others_move():
    run = _run()
    layers = [layer for layer in run.network.hidden if isinstance(layer, torch.nn.Linear)]
    before = [layer.weight.detach().clone() for layer in layers]
    frozen = freeze(layers, 0.5, 0)
    run.advance(10, lambda step: 1.0)
    same = sum(int((layer.weight == first).sum()) for layer, first in zip(layers, before, strict=True))
    assert frozen <= same < 0.75 * sum(first.numel() for first in before)  # units that never fire do not move either
    freeze(layers, 1.0, 0)
    run.network.zero_grad()
    given, targets = run.batches(0)
    torch.nn.functional.cross_entropy(run.network(given), targets).backward()
    assert not any(bool(layer.weight.grad.any()) for layer in layers)
    assert abs(frozen / sum(first.numel() for first in before) - 0.5) < 0.15


@pytest.mark.parametrize("causal", [True, False])
def test_only_a_masked_network_sees_what_comes(causal):
    torch.manual_seed(0)
    network = Transformer(Shape(16, 2, 2, 8, causal=causal))
    given = torch.arange(8)[None]
    other = given.clone()
    other[0, 6] = 50
    moved = (network(given) - network(other)).abs().amax(dim=2)[0] > 1e-6
    assert bool(moved[6])
    assert bool(moved[7])
    assert bool(moved[:6].any()) is not causal


def test_parameters_of_a_transformer_by_hand():
    assert count(Transformer(Shape(16, 2, 2, 8))) == 2 * (12 * 256 + 4 * 16) + 2 * 97 * 16 + 8 * 16 + 2 * 16


def test_batches_repeat_and_are_scored_where_they_should_be():
    given, targets = following(SYMBOLS, batch=4, context=6, seed=1)(3)
    assert torch.equal(given[:, 1:], targets[:, :-1])
    hidden, wanted = masked(SYMBOLS, batch=200, context=50, seed=1)(3)
    assert torch.equal(hidden, masked(SYMBOLS, batch=200, context=50, seed=1)(3)[0])
    assert torch.equal(wanted != -100, hidden == 96)
    assert abs(float((wanted != -100).float().mean()) - MASKED) < 3 * (MASKED * (1 - MASKED) / 10_000) ** 0.5

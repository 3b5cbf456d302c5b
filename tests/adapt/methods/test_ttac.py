"""[42] TTAC: what moves, what counts for a class, and which prediction is returned."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.ttac import Ttac  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402
from outthink.adapt.view import Split  # noqa: E402

SOURCE = Source(images(256, seed=7))


@pytest.fixture(scope="module")
def net():
    return trained()


def test_the_head_stays_and_the_features_move(net):
    model = adapt(net, Ttac(lr=0.01), source=SOURCE)
    model(images(32, shift=0.5))
    assert torch.equal(model.state.model.head.weight, net.head.weight)
    assert torch.equal(model.state.model.head.bias, net.head.bias)
    assert not torch.equal(model.state.model.body[0].weight, net.body[0].weight)


def test_without_a_step_it_is_bn_adapt_and_with_one_it_predicts_after_it(net):
    batch = images(32, shift=0.5)
    plain = adapt(net, BatchNormAdapt())(batch)
    assert torch.allclose(adapt(net, Ttac(lr=0.0), source=SOURCE)(batch), plain, atol=1e-5)
    assert not torch.allclose(adapt(net, Ttac(lr=0.01), source=SOURCE)(batch), plain, atol=1e-5)


def test_global_moments_run_over_the_stream(net):
    model = adapt(net, Ttac(lr=0.0, memory=10**6), source=SOURCE)
    batches = [images(32, seed=seed, shift=0.5) for seed in range(3)]
    for batch in batches:
        model(batch)
    features = torch.cat([Split(adapt(net, BatchNormAdapt()).state.model)(batch)[1] for batch in batches]).detach()
    assert model.state.everything.count == 96
    assert torch.allclose(model.state.everything.mean, features.mean(0), atol=1e-4)


def test_a_sample_below_the_threshold_counts_for_no_class(net):
    model = adapt(net, Ttac(threshold=1.1), source=SOURCE)
    model(images(64))
    assert [gaussian.count for gaussian in model.state.classes] == [0, 0, 0, 0]
    sure = adapt(net, Ttac(threshold=0.0), source=SOURCE)
    sure(images(64))
    assert sum(gaussian.count for gaussian in sure.state.classes) == 64


def test_its_steps_bring_features_nearer_to_the_source(net):
    """On one shifted batch, many times over, the distance of the batch's mean feature to the source's falls."""
    batch = images(64, seed=1, shift=2.0)
    model = adapt(net, Ttac(lr=5e-3, weight=1.0), source=SOURCE)

    def apart():
        return float((Split(model.state.model)(batch)[1].mean(0) - model.state.anchor.mean).norm().detach())

    before = apart()
    for _ in range(20):
        model(batch)
    assert apart() < before


def test_it_needs_the_source(net):
    with pytest.raises(ValueError, match="source"):
        adapt(net, Ttac())

"""[55] The adapter learns the Bayes rule under other class frequencies, starts as the source, and finds how imbalanced a stream is."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.label_shift import LabelShift, Shifting  # noqa: E402
from outthink.adapt.networks import train  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402


def gaussians(count, share, seed):
    """Two classes at -1 and +1 with unit variance in two dimensions; `share` is that of class 0."""
    draw = torch.Generator().manual_seed(seed)
    truth = (torch.rand(count, generator=draw) >= share).long()
    return torch.randn(count, 2, generator=draw) + (2.0 * truth - 1.0)[:, None], truth


def bayes(inputs, share):
    """log p(1, x) - log p(0, x) = 2 (x1 + x2) + log (1 - share) / share."""
    odds = torch.log(torch.tensor((1 - share) / share))
    return (2 * inputs.sum(1) + odds > 0).long()


@pytest.fixture(scope="module")
def toy():
    inputs, truth = gaussians(6000, 0.9, 0)
    torch.manual_seed(0)
    net = train(torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)), inputs, truth, epochs=5, seed=0)
    return net, LabelShift(steps=1500).prepare(net, Source(inputs, truth), seed=0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_on_two_gaussians_it_is_the_bayes_rule_within_a_point(toy, share):
    net, made = toy
    inputs, truth = gaussians(20_000, share, 1)
    with torch.no_grad():
        adapted = made.classify(made.split(inputs)[1], made.degree(torch.tensor([share, 1 - share])))
        right = {"adapted": adapted.argmax(1), "plain": net(inputs).argmax(1), "bayes": bayes(inputs, share)}
    score = {name: float((found == truth).double().mean()) for name, found in right.items()}
    assert score["adapted"] > score["bayes"] - 0.01
    if share == 0.1:
        assert score["adapted"] > score["plain"] + 0.05


def test_the_estimate_finds_the_frequencies_of_the_stream(toy):
    made = toy[1]
    inputs, truth = gaussians(6400, 0.2, 2)
    model = adapt(made, LabelShift())
    predicted = torch.cat([model(batch) for batch in inputs.split(64)])
    assert float(model.state.frequencies[0]) == pytest.approx(0.2, abs=0.05)
    late = slice(3200, None)
    assert (
        float((predicted[late].argmax(1) == truth[late]).double().mean()) > float((bayes(inputs[late], 0.2) == truth[late]).double().mean()) - 0.015
    )
    # the trap: the mean of the unadapted predictions stays on the source's side
    with torch.no_grad():
        assert float(toy[0](inputs).softmax(1).mean(0)[0]) > 0.25


def test_before_it_has_learnt_it_is_the_model():
    net = trained()
    made = LabelShift(steps=0).prepare(net, Source(images(64), torch.tensor([0] * 30 + [1] * 20 + [2] * 10 + [3] * 4)), seed=0)
    with torch.no_grad():
        assert torch.allclose(made(images(32)), net(images(32)), atol=1e-6)
    assert torch.allclose(adapt(made, LabelShift(momentum=0.0))(images(32)), net(images(32)), atol=1e-6)


def test_degrees_and_frequencies_undo_each_other():
    made = Shifting(trained(), torch.tensor([0.6, 0.25, 0.1, 0.05]), 8)
    for degree in (-1.0, -0.3, 0.0, 0.8, 1.0):
        frequencies = made.frequencies(torch.tensor(degree)).exp()
        assert float(frequencies.sum()) == pytest.approx(1.0)
        assert float(made.degree(frequencies)) == pytest.approx(degree, abs=1e-5)
    assert torch.allclose(made.frequencies(torch.tensor(1.0)).exp(), torch.tensor([0.6, 0.25, 0.1, 0.05]))
    assert float(made.degree(torch.tensor([0.99, 0.01, 0.0, 0.0]))) == 1.0  # cut to what was learnt


def test_with_a_step_it_moves_scale_and_shift_and_counts_it():
    source = Source(images(200), labels(200))
    way = LabelShift(lr=1e-2, steps=10)
    model = adapt(way.prepare(trained(), source, seed=0), way)
    before = {name: value.clone() for name, value in model.state.model.named_parameters()}
    model(images(32))
    moved = {name for name, value in model.state.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert not any("shape" in name or "head" in name for name in moved)
    assert (model.cost.forwards, model.cost.backwards) == (32, 32)


def test_a_source_that_says_nothing_about_imbalance_is_refused():
    even = torch.arange(64) % 4
    with pytest.raises(ValueError, match="equally frequent"):
        LabelShift().prepare(trained(), Source(images(64), even), seed=0)
    with pytest.raises(ValueError, match="labelled"):
        LabelShift().prepare(trained(), Source(images(64)), seed=0)
    with pytest.raises(ValueError, match="needs a source sample"):
        LabelShift().prepare(trained(), Source(images(64), torch.arange(64) % 3), seed=0)
    with pytest.raises(ValueError, match="prepared"):
        adapt(trained(), LabelShift())

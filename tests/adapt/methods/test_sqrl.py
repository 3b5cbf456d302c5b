"""[106] Nothing moves without a violation; where something fires, what the rules say gains."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.sqrl import Sqrl  # noqa: E402
from outthink.adapt.networks import train  # noqa: E402
from outthink.adapt.rules import count_violations  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402


def table(count, seed, shift=0.0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=draw)
    values = torch.randn(count, 6, generator=draw) + 1.5 * (2.0 * labels - 1)[:, None]
    values[:, 0] += shift
    return values, labels


@pytest.fixture(scope="module")
def world():
    inputs, labels = table(800, 0)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    return train(net, inputs, labels, epochs=10, seed=0), Source(inputs, labels)


def test_without_a_violation_nothing_moves(world):
    net, source = world
    model = adapt(net, Sqrl(lr=0.1), source=source)
    typical = torch.stack([source.inputs[source.labels == label].mean(0) for label in (0, 1)])
    model(typical)
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in model.state.model.state_dict().items())
    assert model.cost.backwards == 0


def test_where_the_predicted_class_breaks_its_rules_the_class_that_they_leave_gains(world):
    net, source = world
    broken = torch.nn.Sequential(net[0], net[1], torch.nn.Linear(16, 2)).eval()
    with torch.no_grad():
        broken[2].weight.copy_(net[2].weight)
        broken[2].bias.copy_(net[2].bias + torch.tensor([6.0, -6.0]))  # says class 0 nearly always
    model = adapt(broken, Sqrl(lr=1e-2), source=source)
    batch, labels = table(64, 5)
    before = broken(batch).softmax(1)[labels == 1, 1].mean().item()
    for _ in range(5):
        model(batch)
    with torch.no_grad():
        after = model.state.model(batch).softmax(1)[labels == 1, 1].mean().item()
    assert after > before + 0.01


def test_violations_fall_and_the_rules_come_from_the_source_alone(world):
    net, source = world
    way = Sqrl(lr=1e-2)
    rules = way.rules(source)
    assert len(rules) <= 2 * way.most
    model, (inputs, _) = adapt(net, way, source=source), table(600, 6, shift=-4.0)
    before = count_violations(rules, inputs, net(inputs).argmax(1)).found
    for batch in inputs.split(50):
        model(batch)
    with torch.no_grad():
        after = count_violations(rules, inputs, model.state.model(inputs).argmax(1)).found
    assert 0 < after <= before


@pytest.mark.parametrize("made", [lambda: Sqrl(delta=0.0), lambda: Sqrl(most=0), lambda: Sqrl(lr=-1.0)])
def test_knobs_out_of_range_are_named(made):
    with pytest.raises(ValueError, match="delta"):
        made()

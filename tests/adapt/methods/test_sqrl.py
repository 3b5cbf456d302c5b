"""[106] Nothing moves without a violation; where something fires, what the rules say gains."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.sqrl import Sqrl  # noqa: E402
from outthink.adapt.networks import train  # noqa: E402
from outthink.adapt.rules import Rules  # noqa: E402
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


def test_the_loss_is_a_mean_over_rules_of_means_over_samples(world):
    """[106] Two rules, one contradicted by three samples and one by one of them: each rule has the same voice."""
    rules = Rules(torch.tensor([0, 1, 0, 1]), *(torch.full((4,), -1),) * 2, torch.full((4,), -torch.inf), torch.full((4,), torch.inf),
                  torch.tensor([0, 0, 1, 1]), torch.tensor([0.0, 5.0, 0.0, 5.0]), torch.tensor([1.0, 9.0, 1.0, 9.0]), delta=0.98,
                  classes=2)  # fmt: skip
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 2).eval()
    with torch.no_grad():
        net.bias.copy_(torch.tensor([-9.0, 0.0]))  # says class 1
    batch = torch.tensor([[0.5, 0.5], [0.5, 3.0], [0.5, 3.0], [3.0, 3.0]])
    model = adapt(net, Sqrl(lr=1.0), source=world[1])
    model.state.rules, losses = rules, []
    model.state.descend = lambda loss, samples: losses.append(loss)
    model(batch)
    share = net(batch).softmax(1)
    gap = (share[:, 1] - share[:, 0]).clamp(0, 1)
    assert losses[0].item() == pytest.approx(((gap[0] + gap[1] + gap[2]) / 3 + gap[0]).item() / 2, abs=1e-6)


def test_scale_and_shift_alone_move_where_there_are_any_and_the_batch_gives_the_statistics(world):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 2)).eval()
    model = adapt(net, Sqrl(lr=0.1), source=world[1])
    batch = table(64, 5)[0]
    with torch.no_grad():
        assert torch.allclose(model(batch), copy.deepcopy(net).train()(batch), atol=1e-5)
    moved = {name for name, value in model.state.model.named_parameters() if not torch.equal(value, net.state_dict()[name])}
    assert moved == {"1.weight", "1.bias"}


def test_rules_are_about_the_statistics_that_are_chosen(world):
    net, source = world
    way = Sqrl(lr=0.1, delta=0.9, statistics=lambda batch: batch[:, 1:2])
    assert way.rules(source).bound.tolist() == [0, 0]
    typical = torch.stack([source.inputs[source.labels == label].mean(0) for label in (0, 1)])
    for column, moves in ((0, False), (1, True)):
        batch = typical.clone()
        batch[:, column] = -batch[:, column] * 2  # what the column says is the other class now
        model = adapt(net, way, source=source)
        model(batch)
        assert (model.cost.backwards > 0) is moves


def test_what_contradicts_the_rules_falls_and_the_rules_come_from_the_source_alone(world):
    net, source = world
    way = Sqrl(lr=1e-2)
    rules = way.rules(source)
    assert len(rules) <= 2 * 6
    model, (inputs, _) = adapt(net, way, source=source), table(600, 6, shift=-4.0)
    before = int(rules.contradicted(inputs, net(inputs).argmax(1)).sum())
    for batch in inputs.split(50):
        model(batch)
    with torch.no_grad():
        after = int(rules.contradicted(inputs, model.state.model(inputs).argmax(1)).sum())
    assert 0 < after < 0.8 * before


@pytest.mark.parametrize("made", [lambda: Sqrl(delta=0.0), lambda: Sqrl(lr=-1.0)])
def test_knobs_out_of_range_are_named(made):
    with pytest.raises(ValueError, match="delta"):
        made()

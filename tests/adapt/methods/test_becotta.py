"""[94] Gates, mutual information, what starts as the source, and that routers do learn."""

import copy
import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.methods.becotta import Becotta, Experts, by_domain, gates, mutual_information  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

SOURCE = Source(
    torch.cat([images(64, seed=1), images(64, seed=2, shift=1.0)]), torch.cat([labels(64, seed=1), labels(64, seed=2)]), torch.arange(128) // 64
)


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def prepared(net):
    return Becotta().prepare(net, SOURCE, seed=0)


def test_gates_are_above_zero_for_the_chosen_alone_and_sum_to_one():
    scores = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    found = gates(scores, 3)
    assert torch.equal((found > 0).sum(1), torch.full((50,), 3))
    assert torch.allclose(found.sum(1), torch.ones(50))
    assert torch.equal(found.argmax(1), scores.argmax(1))
    assert torch.allclose(gates(scores, 6), scores.softmax(1))


def test_mutual_information_of_what_is_known():
    assert float(mutual_information(torch.eye(3) / 3)) == pytest.approx(math.log(3), rel=1e-5)
    rank_one = torch.outer(torch.tensor([0.2, 0.8]), torch.tensor([0.5, 0.3, 0.2]))
    assert float(mutual_information(rank_one)) == pytest.approx(0.0, abs=1e-6)
    gate = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(mutual_information(by_domain(gate, torch.tensor([0, 0, 2]), 4))) == pytest.approx(math.log(2), rel=1e-5)


def test_with_ups_of_zero_the_model_is_the_source(net):
    made = Becotta(epochs=0).prepare(net, SOURCE, seed=0)
    with torch.no_grad():
        assert torch.allclose(made(images(32)), net(images(32)), atol=1e-6)


def test_the_task_trains_the_routers():
    """The trap: a gate taken as a plain number would leave routers without a gradient."""
    torch.manual_seed(0)
    experts = Experts(4, 2, 3, 2, 2)
    torch.nn.init.normal_(experts.up)
    maps = torch.randn(8, 4, 3, 3)
    domains = torch.tensor([0] * 8)
    experts(maps, experts.gate(maps, domains, None)).square().sum().backward()
    assert float(experts.route.grad[0].abs().sum()) > 0
    assert float(experts.route.grad[1].abs().sum()) == 0  # the other domain's router


def test_an_expert_is_a_low_rank_map_of_each_place():
    torch.manual_seed(0)
    experts = Experts(4, 1, 2, 2, 1)
    torch.nn.init.normal_(experts.up)
    maps, gate = torch.randn(3, 4, 2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    found = experts(maps, gate)
    for row in range(3):
        place = maps[row, :, 1, 0]
        wanted = place + sum(gate[row, k] * experts.up[k] @ (experts.down[k] @ place).relu() for k in range(2))
        assert torch.allclose(found[row, :, 1, 0], wanted, atol=1e-5)


def test_preparing_tells_domains_apart_and_leaves_the_classifier_alone(net, prepared):
    found = prepared.domain(torch.cat([images(64, seed=5), images(64, seed=6, shift=1.0)])).argmax(1)
    assert float((found == torch.arange(128) // 64).double().mean()) > 0.8
    for name, value in net.state_dict().items():
        assert torch.equal(value, prepared.model.state_dict()[name])


def test_the_synergy_makes_experts_and_domains_depend_on_each_other(net):
    found = []
    for weight in (0.0, 20.0):
        made = Becotta(chosen=2, experts=3, synergy=weight).prepare(net, SOURCE, seed=0)
        with torch.no_grad():
            used = made.routed(SOURCE.inputs, SOURCE.domains)[1]
        found.append(sum(float(mutual_information(by_domain(gate, SOURCE.domains, 2))) for gate in used))
    assert found[1] > found[0]


def test_the_step_moves_experts_and_routers_alone_and_counts_what_it_costs(prepared):
    model = adapt(prepared, Becotta(confidence=1.0, views=2, lr=1e-2, least=0.0))
    before = {name: value.clone() for name, value in model.state.named_parameters()}
    model(images(32, shift=0.5))
    moved = {name for name, value in model.state.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert all(".experts." in name for name in moved)
    assert any("route" in name for name in moved)
    assert (model.cost.forwards, model.cost.backwards) == (32 * 2 + 2 * 32, 32)  # all are in doubt


def inverted(batch, generator):
    return -batch


def test_samples_that_are_sure_keep_their_own_label_and_those_in_doubt_take_the_mean_over_views(prepared):
    batch = torch.cat([images(16), images(16, seed=6, shift=1.0)])
    with torch.no_grad():
        domains = prepared.domain(batch).argmax(1)  # views keep the domain of their image
        assert len(domains.unique()) == 2
        own, turned = (prepared.routed(each, domains)[0].softmax(1) for each in (batch, -batch))
    sure, doubtful = (adapt(prepared, Becotta(confidence=level, views=2, view=inverted)) for level in (0.0, 1.0))
    assert torch.allclose(sure(batch).softmax(1), own, atol=1e-6)
    assert torch.allclose(doubtful(batch).softmax(1), (own + 2 * turned) / 3, atol=1e-6)


def test_the_step_is_down_the_cross_entropy_of_those_that_are_far_from_their_label(prepared):
    """By definition, with labels of inverted images and without restoring: Adam's first step is lr times the sign of the gradient."""
    batch, plain = images(32), copy.deepcopy(prepared)
    domains = plain.domain(batch).argmax(1)
    logits = plain.routed(batch, domains)[0]
    label = (logits.softmax(1) + 4 * plain.routed(-batch, domains)[0].softmax(1)).argmax(1)
    losses = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    least = float(losses.detach().median())
    model = adapt(prepared, Becotta(confidence=1.0, views=4, view=inverted, least=least, restore=0.0, lr=1e-3))
    model(batch)
    far = losses >= least
    assert 0 < int(far.sum()) < 32
    found = torch.autograd.grad(losses[far].mean(), list(plain.experts.parameters()), allow_unused=True)
    for own, before, slope in zip(model.state.expert.experts.parameters(), plain.experts.parameters(), found, strict=True):
        if slope is not None:
            clear = slope.abs() > 1e-5
            assert torch.allclose((own - before)[clear], -1e-3 * slope.sign()[clear], atol=2e-6)


def test_where_all_are_near_their_labels_nothing_learns(prepared):
    model = adapt(prepared, Becotta(least=1e9, lr=1e-2))
    model(images(32))
    assert model.cost.backwards == 0
    assert all(torch.equal(*pair) for pair in zip(model.state.expert.parameters(), prepared.parameters(), strict=True))


def test_restoring_puts_experts_and_routers_back_to_the_prepared_ones(prepared):
    always = adapt(prepared, Becotta(confidence=1.0, view=inverted, lr=1e-2, restore=1.0))
    always(images(32))
    assert always.cost.backwards == 32
    assert all(torch.equal(*pair) for pair in zip(always.state.expert.parameters(), prepared.parameters(), strict=True))
    half = adapt(prepared, Becotta(confidence=1.0, view=inverted, lr=1e-2, restore=0.5))
    half(images(32))
    back = torch.cat([(own == old).flatten() for own, old in zip(half.state.expert.experts[0].up, prepared.experts[0].up, strict=True)])
    assert 0.3 < float(back.double().mean()) < 0.9


def test_the_prepared_model_is_what_a_sure_sample_must_not_fall_below(prepared):
    """Ups at 0 make the adapting model the bare classifier; where the prepared one is surer than it, the label comes from the views."""
    batch = images(64, seed=4, shift=0.5)
    model = adapt(prepared, Becotta(confidence=0.0, views=1, view=inverted, lr=0.0, restore=0.0))
    with torch.no_grad():
        for experts in model.state.expert.experts:
            experts.up.zero_()
        bare, whole = prepared.model(batch).softmax(1).amax(1), prepared(batch).softmax(1).amax(1)
        plain = model.state.expert(batch)
    asked = ~torch.isclose(model(batch), plain, atol=1e-5).all(1)
    assert 0 < int((bare < whole).sum()) < 64
    assert torch.equal(asked[(bare - whole).abs() > 1e-4], (bare < whole)[(bare - whole).abs() > 1e-4])


def test_what_is_missing_is_named(net):
    with pytest.raises(ValueError, match="domains"):
        Becotta().prepare(net, Source(images(8), labels(8)), seed=0)
    with pytest.raises(ValueError, match="two domains"):
        Becotta().prepare(net, Source(images(8), labels(8), torch.zeros(8, dtype=torch.long)), seed=0)
    with pytest.raises(ValueError, match="prepared"):
        adapt(net, Becotta())
    with pytest.raises(ValueError, match="chosen"):
        Becotta(chosen=9)
    with pytest.raises(ValueError, match="restore"):
        Becotta(restore=2.0)

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.maps import edited, mix_style  # noqa: E402
from outthink.adapt.methods.itta import Elementwise, Itta, alignment  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402
from outthink.adapt.view import Split  # noqa: E402

SOURCE = Source(images(128, seed=7), labels(128, seed=7))


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def made(net):
    return Itta(epochs=2).prepare(net, SOURCE, seed=0)


def test_new_blocks_do_nothing(net, made):
    batch = images(16, seed=3)
    assert torch.allclose(Itta().blocked(net, SOURCE)(batch), net(batch), atol=1e-6)
    assert torch.equal(adapt(made, Itta(lr=0.0))(batch), made(batch))
    assert torch.allclose(made(batch), made.model(batch), atol=1e-6)


def test_blocks_are_the_identity_on_maps_of_either_sign_only_without_relu():
    maps = torch.randn(4, 2, 3, 3)
    assert torch.equal(Elementwise((2, 3, 3), 5, rectified=False)(maps), maps)
    assert torch.equal(Elementwise((2, 3, 3), 5, rectified=True)(maps.relu()), maps.relu())
    assert not torch.equal(Elementwise((2, 3, 3), 5, rectified=True)(maps), maps)


def test_a_network_whose_stages_go_below_zero_gets_blocks_without_relu():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.AvgPool2d(6), torch.nn.Flatten(), torch.nn.Linear(4, 4)).eval()
    assert not any(block.rectified for block in Itta().blocked(net, SOURCE).blocks)
    batch = images(8)
    assert torch.equal(Itta().blocked(net, SOURCE)(batch), net(batch))


def test_matching_loss_falls_on_a_fixed_batch(net):
    way = Itta()
    made = way.blocked(net, SOURCE)
    weights = list(made.model.parameters())
    learner = torch.optim.Adam(made.weigh.parameters(), lr=1e-2)
    batch, classes = images(32, seed=7), labels(32, seed=7)
    found = [way.learn(made, batch, classes, weights, None, learner, torch.Generator().manual_seed(1))[0] for _ in range(30)]
    assert found[-1] < found[0] - 0.05


def test_the_main_gradient_is_that_of_both_views_and_of_the_body_alone(net):
    """As official: cross-entropy of the plain and of the mixed features, by the weights that the consistency loss depends on."""
    way, made = Itta(), Itta().blocked(net, SOURCE)
    batch, classes, weights = images(32, seed=7), labels(32, seed=7), list(made.model.parameters())
    main, other = way.gradients(made, batch, classes, weights, torch.Generator().manual_seed(1))
    mixed = made.augmented(batch, way.alpha, torch.Generator().manual_seed(1))[0]
    loss = torch.nn.functional.cross_entropy(made(batch), classes) + torch.nn.functional.cross_entropy(mixed, classes)
    body = list(made.model.body.parameters())
    wanted = torch.autograd.grad(loss, body)
    assert len(main) == len(other) == len(body)
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(main, wanted, strict=True))
    assert not any(one.requires_grad for one in main)


def test_a_step_at_the_source_goes_down_all_three_losses_and_moves_the_learnt_net(net):
    way, made = Itta(), Itta().blocked(net, SOURCE)
    batch, classes, weights = images(32, seed=7), labels(32, seed=7), list(made.model.parameters())
    before = copy.deepcopy(made)
    logits, features = before.split(batch)
    mixed, augmented = before.augmented(batch, way.alpha, torch.Generator().manual_seed(1))
    # as w starts, what is left of the difference are its parts above 0
    loss = sum(torch.nn.functional.cross_entropy(one, classes) for one in (logits, mixed)) + (augmented - features).relu().square().mean()
    wanted = torch.autograd.grad(loss, list(before.model.parameters()))
    learner = torch.optim.Adam(made.weigh.parameters(), lr=1e-3)
    way.learn(made, batch, classes, weights, torch.optim.SGD(weights, lr=0.1), learner, torch.Generator().manual_seed(1))
    for own, old, slope in zip(made.model.parameters(), before.model.parameters(), wanted, strict=True):
        assert torch.allclose(own, old - 0.1 * slope, atol=1e-5)
    assert not torch.equal(made.weigh.scale, before.weigh.scale)


def test_style_is_mixed_before_the_block(net):
    made = Itta().blocked(net, SOURCE)
    for block in made.blocks:
        torch.nn.init.uniform_(block.scale, 0.5, 1.5, generator=torch.Generator().manual_seed(0))
    batch, draw = images(16, seed=7), torch.Generator().manual_seed(3)
    found = made.augmented(batch, 0.1, draw)[1]
    draw.manual_seed(3)
    stage = int(torch.randint(2, (1,), generator=draw))
    blocks = dict(zip(made.names, made.blocks, strict=True))

    def through(name):
        return lambda maps: blocks[name](mix_style(maps, 0.1, draw) if name == made.names[stage] else maps)

    with edited(made.model, {name: through(name) for name in made.names}):
        assert torch.allclose(Split(made.model)(batch)[1], found, atol=1e-5)


def test_alignment_is_twice_one_less_the_correlation_and_ignores_scale():
    first, second = torch.randn(50), torch.randn(50)
    correlation = torch.corrcoef(torch.stack([first, second]))[0, 1]
    assert torch.allclose(alignment((first,), (second,)), 2 * (1 - correlation), atol=1e-5)
    assert torch.allclose(alignment((first,), (7 * second + 3,)), alignment((first,), (second,)), atol=1e-5)
    assert float(alignment((first[:20], first[20:]), (first,))) < 1e-9


def test_blocks_alone_change(made):
    model = adapt(made, Itta(lr=1e-2))
    before = {name: value.clone() for name, value in model.state.model.state_dict().items()}
    model(images(32, seed=5, shift=1.0))
    changed = {name for name, value in model.state.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("blocks.") for name in changed)


def test_one_image_alone_adapts_nothing(made):
    model = adapt(made, Itta(lr=1e-1))
    one = images(1, seed=5, shift=1.0)
    for _ in range(3):
        assert torch.equal(model(one), made(one))
    assert model.cost.backwards == 0


def test_no_matching_leaves_the_loss_as_it_starts(net):
    fixed = Itta(epochs=1, matching=0.0).prepare(net, SOURCE, seed=0)
    assert (fixed.weigh.scale == 1).all()
    assert (fixed.weigh.shift == 0).all()


def test_another_model_is_refused(net):
    with pytest.raises(ValueError, match="prepared at the source"):
        adapt(net, Itta())
    with pytest.raises(ValueError, match="labels"):
        Itta().prepare(net, Source(images(8)), seed=0)
    with pytest.raises(ValueError, match="alpha"):
        Itta(alpha=0.0)

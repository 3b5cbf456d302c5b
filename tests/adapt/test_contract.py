"""What every method keeps, whatever it does: run over all that are registered."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.attack import coupling  # noqa: E402
from outthink.adapt.method import Preparing, methods  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def stream():
    return [images(32, seed=100 + position, shift=0.4 * position) for position in range(4)]


SOURCE = Source(images(64, seed=7), labels(64, seed=7), torch.arange(64) % 2)
_PREPARED = {}


class Answers:
    """Someone who knows every sample of the stream."""

    def ask(self, ids):
        return torch.cat([labels(32, seed=100 + position) for position in range(4)])[ids]


def made(name, net, seed=0):
    way = methods()[name].cls()
    if isinstance(way, Preparing):
        if name not in _PREPARED:
            _PREPARED[name] = way.prepare(net, SOURCE, seed=0)
        net = _PREPARED[name]
    return adapt(net, way, source=SOURCE, seed=seed, oracle=Answers() if "labels" in way.contract.needs else None)


def outputs(model, stream):
    return torch.stack([model(batch) for batch in stream])


every = pytest.mark.parametrize("name", sorted(methods()))


@every
def test_a_second_run_after_a_reset_is_identical(name, net, stream):
    model = made(name, net)
    first = outputs(model, stream)
    model.reset()
    assert model.cost.forwards == made(name, net).cost.forwards
    assert torch.equal(outputs(model, stream), first)


@every
def test_two_models_of_one_seed_agree(name, net, stream):
    assert torch.equal(outputs(made(name, net, seed=3), stream), outputs(made(name, net, seed=3), stream))


@every
def test_the_callers_model_is_left_alone(name, net, stream):
    before = copy.deepcopy(net.state_dict())
    grads = [parameter.requires_grad for parameter in net.parameters()]
    outputs(made(name, net), stream)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [parameter.requires_grad for parameter in net.parameters()] == grads
    assert all(parameter.grad is None for parameter in net.parameters())


@every
def test_a_saved_state_goes_on_where_it_stopped(name, net, stream, tmp_path):
    model = made(name, net)
    outputs(model, stream[:2])
    torch.save(model.state_dict(), tmp_path / "state.pt")
    after = outputs(model, stream[2:])
    other = made(name, net, seed=9)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(outputs(other, stream[2:]), after)


@every
def test_it_learns_under_no_grad_and_refuses_inference_mode(name, net, stream):
    plain, quiet = made(name, net), made(name, net)
    with torch.no_grad():
        assert torch.equal(outputs(quiet, stream), outputs(plain, stream))
    with torch.inference_mode(), pytest.raises(RuntimeError, match="inference_mode"):
        plain(stream[0])


@every
def test_predictions_carry_no_gradient_and_count_their_cost(name, net, stream):
    model = made(name, net)
    logits = model(stream[0])
    assert logits.shape == (32, 4)
    assert not logits.requires_grad
    assert model.cost.forwards >= 32


@every
def test_a_batch_of_one_works_or_is_refused_with_the_reason(name, net):
    model = made(name, net)
    if model.contract.smallest_batch > 1:
        with pytest.raises(ValueError, match=model.contract.reason):
            model(images(1))
    else:
        assert torch.isfinite(model(images(1))).all()


@every
def test_an_attacker_sees_what_couples_the_samples_of_a_batch(name, net, stream):
    """What is returned before anything is learnt from a batch can depend on its other samples only in ways that `preview` has a slope for."""
    model, last = made(name, net), torch.arange(24, 32)
    found = coupling(model, stream[0], malicious=last)
    probe = copy.deepcopy(model)
    probe(stream[0])
    if found.moved < 1e-5:
        assert found.slope < 1e-5
    elif model.contract.predicts == "before" or probe.cost.backwards == model.cost.backwards:
        assert found.slope > 0
    assert torch.equal(outputs(model, stream), outputs(made(name, net), stream))  # it left the model as it was


@every
def test_batches_of_one_class_of_one_image_and_of_noise_leave_numbers(name, net):
    model = made(name, net)
    many = images(128, seed=5)
    odd = [
        many[labels(128, seed=5) == 0][:16], many[:1].repeat(16, 1, 1, 1), torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.zeros(16, 1, 8, 8), many[:16],
    ]  # fmt: skip
    for batch in odd:
        assert torch.isfinite(model(batch)).all()
    assert all(torch.isfinite(value).all() for value in model.state.parameters())


@every
def test_train_has_no_effect(name, net, stream):
    model = made(name, net).train()
    assert torch.equal(outputs(model, stream), outputs(made(name, net), stream))


@every
def test_a_batch_of_one_class_leaves_finite_predictions(name, net):
    model = made(name, net)
    same = images(1, seed=5).repeat(32, 1, 1, 1)
    for _ in range(3):
        assert torch.isfinite(model(same)).all()


@every
@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (torch.full((4, 1, 8, 8), float("nan")), "NaN"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.float64), "float64"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.zeros(32, 3, 8, 8), "shape"),
        (torch.zeros(8), "batch dimension"),
    ],
)
def test_a_bad_batch_gets_one_sentence_and_changes_nothing(name, net, stream, batch, said):
    model = made(name, net)
    with pytest.raises(ValueError, match=said):
        model(batch)
    assert torch.equal(outputs(model, stream), outputs(made(name, net), stream))

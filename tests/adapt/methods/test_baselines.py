"""The baselines of [31]: the identities that their formulas imply."""

import itertools
import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, trained  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.losses import information_maximisation, symmetric_cross_entropy  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.eata import Eata  # noqa: E402
from outthink.adapt.methods.lame import affinity, assign  # noqa: E402
from outthink.adapt.methods.sar import Sar  # noqa: E402
from outthink.adapt.methods.shot import Shot  # noqa: E402
from outthink.adapt.methods.t3a import T3A  # noqa: E402
from outthink.adapt.methods.tent import Tent  # noqa: E402


@pytest.fixture(scope="module")
def net():
    return trained()


def stream(count=4, size=32):
    return [images(size, seed=50 + position, shift=0.5) for position in range(count)]


def run(model, batches):
    return torch.stack([model(batch) for batch in batches])


def affine(model):
    return [p for name, p in model.state.model.named_parameters() if name.startswith(("body.1", "body.4"))]


def test_tent_without_a_step_is_bn_adapt(net):
    assert torch.equal(run(adapt(net, Tent(lr=0.0)), stream()), run(adapt(net, BatchNormAdapt()), stream()))


def test_tent_predicts_before_its_step_and_lowers_entropy(net):
    model, batch = adapt(net, Tent(lr=1e-2)), stream(1)[0]
    first = model(batch)
    assert torch.equal(first, adapt(net, BatchNormAdapt())(batch))
    second = model(batch)
    assert torch.distributions.Categorical(logits=second).entropy().mean() < torch.distributions.Categorical(logits=first).entropy().mean()


def test_tent_changes_scale_and_shift_alone(net):
    model = adapt(net, Tent(lr=0.1))
    run(model, stream())
    now = dict(model.state.model.named_parameters())
    changed = {name for name, value in net.named_parameters() if not torch.equal(value, now[name])}
    assert changed == {"body.1.weight", "body.1.bias", "body.4.weight", "body.4.bias"}


def test_shot_leaves_the_head_and_moves_the_rest(net):
    model = adapt(net, Shot(lr=1e-2))
    run(model, stream())
    assert torch.equal(model.state.model.head.weight, net.head.weight)
    assert not torch.equal(model.state.model.body[0].weight, net.body[0].weight)


def test_information_is_most_at_certain_and_balanced_predictions():
    certain = 1e3 * torch.eye(4)
    assert float(information_maximisation(certain)) == pytest.approx(-math.log(4), abs=1e-6)
    assert float(information_maximisation(certain[:1].repeat(4, 1))) == pytest.approx(0.0, abs=1e-6)


def test_symmetric_cross_entropy_is_symmetric_and_ce_pulls_nothing_where_both_agree():
    a, b = torch.randn(6, 4), torch.randn(6, 4)
    assert torch.allclose(symmetric_cross_entropy(a, b), symmetric_cross_entropy(b, a))
    student = a.clone().requires_grad_()
    (pull,) = torch.autograd.grad(symmetric_cross_entropy(student, a).sum(), student)
    assert pull.abs().max() > 1e-3  # the reverse half keeps pulling


def test_t3a_starts_as_the_cosine_classifier(net):
    model = adapt(net, T3A())
    batch = stream(1)[0]
    features = net.body(batch).flatten(1)
    rows = F.normalize(net.head.weight, dim=1)
    labels = net.head(net.head.weight).argmax(1)
    centroids = F.normalize(F.one_hot(labels, 4).T.float() @ rows, dim=1)
    unit = F.normalize(features, dim=1)
    state = model.state
    members = F.one_hot(state.labels, 4).float()
    assert torch.allclose(unit @ F.normalize(members.T @ state.features, dim=1).T, unit @ centroids.T, atol=1e-6)


def test_t3a_keeps_the_most_certain_of_each_class(net):
    model = adapt(net, T3A(keep=3))
    run(model, stream())
    assert torch.bincount(model.state.labels, minlength=4).max() <= 3
    everything = adapt(net, T3A(keep=10_000))
    run(everything, stream())
    for label in range(4):
        of_all = everything.state.entropies[everything.state.labels == label].sort().values[:3]
        kept = model.state.entropies[model.state.labels == label].sort().values
        assert torch.allclose(kept, of_all)


def test_lame_without_affinity_returns_the_predictions_and_never_raises_its_energy():
    logits = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    logs, _ = assign(logits, torch.zeros(20, 20))
    assert torch.allclose(logs, logits.log_softmax(1), atol=1e-6)
    features = torch.randn(20, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = affinity(features, "radial", 5)
    assert torch.linalg.eigvalsh(weights).min() > -1e-9
    _, energies = assign(logits.double(), weights)
    assert len(energies) > 2
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(energies))


def test_lame_links_each_sample_to_its_neighbours():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(2))
    weights = affinity(features, "neighbours", 3)
    assert torch.allclose(weights.sum(1), torch.ones(9))
    assert torch.equal(weights.diagonal(), torch.zeros(9))
    assert ((weights > 0).sum(1) == 3).all()


def test_eata_with_all_selected_and_no_penalty_counts_every_sample(net):
    model = adapt(net, Eata(margin=1.01, redundancy=1.01, beta=0.0))
    run(model, stream())
    assert model.cost.backwards == 4 * 32
    none = adapt(net, Eata(margin=0.0, beta=0.0))
    run(none, stream())
    assert none.cost.backwards == 0
    assert torch.equal(run(none, stream(1)), run(adapt(net, BatchNormAdapt()), stream(1)))


def test_eata_held_by_an_infinite_penalty_stays_near_the_source(net):
    source = images(128, seed=9, shift=0.3)
    free, held = (adapt(net, Eata(lr=1e-2, margin=1.01, redundancy=1.01, beta=beta), source=source) for beta in (1e-9, 1e9))
    batches = stream(20)
    run(free, batches)
    run(held, batches)
    important = torch.cat([weight.flatten() for weight in held.state.fisher])
    gone = [torch.cat([(p - o).abs().flatten() for p, o in zip(affine(m), m.state.origin, strict=True)]) for m in (free, held)]
    most = important > important.median()
    assert gone[1][most].max() < 0.3 * gone[0][most].max()


def test_eata_says_what_it_needs_of_the_source(net):
    with pytest.raises(ValueError, match="beta=0"):
        adapt(net, Eata())


def test_sar_without_climb_filter_and_reset_is_tent_with_sgd(net):
    lr = 0.05
    model = adapt(net, Sar(lr=lr, momentum=0.0, margin=1e9, rho=0.0, collapse=0.0))
    batch = stream(1)[0]
    plain = adapt(net, Tent(lr=lr))
    plain.state.optimiser = torch.optim.SGD(affine(plain), lr=lr)
    for _ in range(3):
        assert torch.allclose(model(batch), plain(batch), atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(affine(model), affine(plain), strict=True))


def test_sar_starts_again_when_predictions_collapse(net):
    model = adapt(net, Sar(lr=0.5, margin=1e9, collapse=1e9))
    run(model, stream())
    assert all(torch.equal(a, b) for a, b in zip(affine(model), model.state.origin, strict=True))
    assert model.state.average is None

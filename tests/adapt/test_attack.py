"""[46] The attack: nothing through source statistics, something through the batch's, and the model it tried is as it was."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.attack import attempt, away_from, coupling, invade, judged, towards  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.lame import Lame  # noqa: E402
from outthink.adapt.methods.robust_bn import RobustBatchNorm  # noqa: E402
from outthink.adapt.methods.rotta import Rotta  # noqa: E402
from outthink.adapt.methods.source_model import SourceModel  # noqa: E402
from outthink.adapt.methods.t3a import T3A  # noqa: E402
from outthink.adapt.methods.tent import Tent  # noqa: E402
from outthink.adapt.methods.unmix import Unmix  # noqa: E402

LAST = torch.arange(24, 32)


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def batch():
    return images(32, seed=3).clamp(0, 1)


@pytest.mark.parametrize("method", [SourceModel(), RobustBatchNorm(last=2), BatchNormAdapt(alpha=0.0), Rotta()])
def test_where_no_sample_touches_another_benign_logits_do_not_change_by_a_bit(net, batch, method):
    model = adapt(net, method)
    poisoned = invade(model, batch, malicious=LAST, loss=towards(0, 1), steps=3, size=0.1)
    assert torch.equal(poisoned[LAST], torch.full_like(batch[LAST], 0.5))  # no gradient, no move from the gray start
    assert torch.equal(adapt(net, method)(poisoned)[:24], adapt(net, method)(batch)[:24])


@pytest.mark.parametrize("method", [BatchNormAdapt(), Tent(), RobustBatchNorm()])
def test_through_batch_statistics_the_attackers_loss_falls(net, batch, method):
    model = adapt(net, method)
    aim = towards(0, (int(labels(32, seed=3)[0]) + 1) % 4)
    gray = batch.index_fill(0, LAST, 0.5)
    poisoned = invade(model, batch, malicious=LAST, loss=aim, steps=40, size=0.05)
    assert float(aim(adapt(net, method)(poisoned))) < float(aim(adapt(net, method)(gray)))
    assert torch.equal(poisoned[:24], batch[:24])
    assert 0.0 <= float(poisoned.min()) <= float(poisoned.max()) <= 1.0


def test_an_untargeted_attack_raises_the_loss_of_those_it_aims_at(net, batch):
    model, rows = adapt(net, BatchNormAdapt()), torch.arange(24)
    aim = away_from(rows, labels(32, seed=3)[:24])
    poisoned = invade(model, batch, malicious=LAST, loss=aim, steps=20, size=0.05)
    assert float(aim(model(poisoned))) < float(aim(model(batch.index_fill(0, LAST, 0.5))))


def test_a_small_epsilon_keeps_the_samples_gray(net, batch):
    poisoned = invade(adapt(net, BatchNormAdapt()), batch, malicious=LAST, loss=towards(0, 1), steps=20, size=0.05, epsilon=0.1)
    assert float((poisoned[LAST] - 0.5).abs().max()) <= 0.1 + 1e-6


@pytest.mark.parametrize("method", [Tent(lr=0.1), Unmix(), Rotta()])
def test_the_attacked_model_is_left_as_it_was(net, batch, method):
    model, untouched = adapt(net, method), adapt(net, method)
    attempt(model, batch, labels(32, seed=3), malicious=8, steps=2)
    assert torch.equal(model(batch), untouched(batch))
    assert model.cost == untouched.cost


def test_success_needs_a_change_to_the_wanted_label(net, batch):
    """A target that had the wanted label anyway is no success; the trap of counting errors that were there before."""
    true = labels(32, seed=3)
    wrong = true.clone()
    wrong[0] = (true[0] - 1) % 4  # as if the truth were the class before: the network's own answer is then what is wanted
    tried = attempt(adapt(net, SourceModel()), batch, wrong, malicious=8, steps=1)
    assert tried.before == tried.wanted == tried.after
    assert not tried.succeeded


def test_predictions_read_again_are_those_after_the_step(net):
    noise = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    adapting = adapt(net, Tent(lr=0.5))
    adapting(noise)
    after = adapting.state.preview(noise).argmax(1)
    model = adapt(net, Tent(lr=0.5))
    assert judged(model, noise, noise, after, malicious=8, again=True).right_after == 1.0
    assert judged(model, noise, noise, after, malicious=8).right_after < 1.0
    assert torch.equal(model(noise), adapt(net, Tent(lr=0.5))(noise))


def test_what_is_previewed_is_the_network_that_predicts(net, batch):
    model = adapt(net, Rotta())
    with torch.no_grad():
        for parameter in model.state.model.parameters():
            parameter.add_(1.0)
        assert torch.equal(model.state.preview(batch), model.state.teacher(batch))
        assert torch.equal(model.state.preview(batch), model(batch))


@pytest.mark.parametrize("method", [Lame(), T3A()])
def test_an_attack_reaches_methods_that_couple_samples_outside_of_the_network(net, batch, method):
    model = adapt(net, method)
    model(images(32, seed=9).clamp(0, 1))
    found = coupling(model, batch, malicious=LAST)
    assert found.moved > 0
    assert found.slope > 0
    aim = towards(0, (int(labels(32, seed=3)[0]) + 1) % 4)
    # small steps: who is a neighbour of whom changes in jumps, past which a gradient does not see
    poisoned = invade(model, batch, malicious=LAST, loss=aim, steps=3, size=1e-3)
    assert float(aim(copy.deepcopy(model)(poisoned))) < float(aim(copy.deepcopy(model)(batch.index_fill(0, LAST, 0.5))))


def test_coupling_tells_nothing_from_what_the_attack_cannot_see(net, batch):
    nothing = coupling(adapt(net, SourceModel()), batch, malicious=LAST)
    assert nothing.none
    assert nothing.slope == 0.0
    assert not nothing.unseen
    through_statistics = coupling(adapt(net, Tent()), batch, malicious=LAST)
    assert not through_statistics.none
    assert not through_statistics.unseen

    class AfterItsStep(SourceModel):
        """Each prediction is shifted by what the whole batch holds, after the fact: no gradient leads there."""

        def start(self, model, source, generator):
            state = super().start(model, source, generator)
            plain = state.step
            state.step = lambda batch: plain(batch) + batch.sum()
            return state

    assert coupling(adapt(net, AfterItsStep()), batch, malicious=LAST).unseen


@pytest.mark.parametrize("rows", [torch.arange(0), torch.arange(32)])
def test_an_attack_needs_samples_of_both_kinds(net, batch, rows):
    with pytest.raises(ValueError, match="malicious must be 1 to 31"):
        invade(adapt(net, BatchNormAdapt()), batch, malicious=rows, loss=towards(0, 1))
    with pytest.raises(ValueError, match="benign"):
        attempt(adapt(net, BatchNormAdapt()), batch, labels(32, seed=3), malicious=8, target=30)

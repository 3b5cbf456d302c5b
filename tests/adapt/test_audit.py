"""The audit: its one rule, and that it finds what is known to be wrong and nothing where nothing can be."""

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

pytest.importorskip("sklearn", reason="scikit-learn is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.audit import TOLERATED, Finding, audit, deployable, from_json, judged, to_json  # noqa: E402
from outthink.adapt.data import digits  # noqa: E402
from outthink.adapt.method import Contract, State  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.source_model import SourceModel  # noqa: E402
from outthink.adapt.methods.tent import Tent  # noqa: E402
from outthink.adapt.networks import DigitNet, train  # noqa: E402
from outthink.adapt.streams import Domain, collages  # noqa: E402
from outthink.stats import Interval  # noqa: E402

CLEAN = Domain("clean", images(256, seed=50).clamp(0, 1), labels(256, seed=50))


@pytest.fixture(scope="module")
def net():
    return trained()


def findings(net, method, domain=CLEAN, **given):
    return {finding.check: finding for finding in audit(net, method, [domain], targets=2, **given)}


@pytest.fixture(scope="module")
def digit():
    """A network for digits, and clean digits that it was not trained on."""
    learnt, test = digits(seed=0)
    torch.manual_seed(0)
    return train(DigitNet(), learnt.inputs, learnt.labels, epochs=10, seed=0), Domain("clean", test.inputs, test.labels)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.001, 0.5, "unsafe"), (-0.1, TOLERATED / 2, "safe"), (-0.1, 2 * TOLERATED, "unknown"), (0.0, 0.0, "safe")]
)
def test_the_rule(low, high, verdict):
    assert judged(Interval((low + high) / 2, low, high, 0.95)) == verdict


def test_no_adaptation_has_no_pitfall(net):
    found = findings(net, SourceModel(), clean=CLEAN)
    assert {name: finding.verdict for name, finding in found.items()} == {
        "independent order": "safe", "mixed order": "safe", "correlated order": "safe", "long-tailed order": "safe", "batch size": "safe",
        "step size": "safe", "model quality": "safe", "reset policy": "fact", "second round": "safe", "forgetting": "safe", "selection": "fact",
        "unknown classes": "safe", "attack": "safe", "cost": "fact",
    }  # fmt: skip
    for check in ("independent order", "mixed order", "correlated order", "long-tailed order"):
        assert found[check].numbers["loss"] == found[check].numbers["low"] == found[check].numbers["high"] == 0
    assert all(value == 0 for check in ("batch size", "model quality") for value in found[check].numbers.values())
    assert "not a bit" in found["attack"].said
    assert deployable(list(found.values())) == "nothing unsafe was found"
    assert not any(finding.advice for finding in found.values())


def test_batch_statistics_fail_on_runs_of_one_class(digit):
    """On clean digits the network is right nearly always, and statistics of one class can only do harm."""
    found = findings(digit[0], BatchNormAdapt(), digit[1])
    assert found["correlated order"].verdict == "unsafe"
    assert "correlated order" in deployable(list(found.values())) or "do not deploy" in deployable(list(found.values()))
    assert found["forgetting"].verdict == "unknown"  # no clean samples were given
    assert found["step size"].said == "it takes no steps"
    assert found["batch size"].verdict == "unsafe"  # statistics of one image
    assert "at least" in found["batch size"].advice
    assert found["cost"].numbers["backwards"] == 0


def test_steps_that_are_too_large_are_found(digit):
    found = findings(digit[0], Tent(lr=1.0), digit[1], clean=digit[1])
    assert found["step size"].verdict == "unsafe"
    assert [point.label for point in found["step size"].points] == ["lr 0.1", "lr 1", "lr 10"]
    assert found["selection"].numbers["oracle"] <= found["selection"].numbers["last"]
    assert found["cost"].numbers["backwards"] == 1


def test_inputs_outside_of_pixels_are_not_attacked(net):
    loud = Domain("loud", images(256, seed=50, shift=2.0), labels(256, seed=50))
    found = {finding.check: finding for finding in audit(net, BatchNormAdapt(), [loud], targets=2)}
    assert found["attack"].verdict == "unknown"
    assert "[0, 1]" in found["attack"].said


def test_what_is_worse_everywhere_is_not_to_be_deployed_and_findings_are_plain_data(net):
    bad = Finding("independent order", "?", "worse", "unsafe", {"loss": 0.3})
    assert deployable([bad]).startswith("do not deploy")
    assert json.loads(json.dumps(to_json([bad])))[0]["numbers"] == {"loss": 0.3}
    every = list(audit(net, BatchNormAdapt(), [CLEAN], targets=1))
    assert from_json(json.loads(json.dumps(to_json(every)))) == every


def test_progress_names_each_check_before_it_is_made(net):
    said = []
    made = audit(net, SourceModel(), [CLEAN], targets=1, progress=lambda name, done, total: said.append((name, done, total)))
    first = next(made)
    assert said == [("independent order", 0, 14)]
    assert first.check == "independent order"


def test_a_check_that_was_made_is_left_out_and_an_unknown_one_is_named(net):
    every = [finding.check for finding in audit(net, SourceModel(), [CLEAN], targets=1)]
    rest = [finding.check for finding in audit(net, SourceModel(), [CLEAN], targets=1, skip=every[:-1])]
    assert rest == ["cost"]
    with pytest.raises(ValueError, match="no check 'orders'"):
        next(audit(net, SourceModel(), [CLEAN], skip=["orders"]))


def test_the_reset_policy_compares_the_same_samples(digit):
    net, clean = digit
    dark = Domain("dark", 0.5 * clean.inputs, clean.labels)
    found = {finding.check: finding for finding in audit(net, BatchNormAdapt(), [clean, dark], targets=1, skip=[])}
    # it keeps nothing of the stream, so where it was reset makes no difference but for which samples share a batch
    assert abs(found["reset policy"].numbers["never"] - found["reset policy"].numbers["reset"]) < 0.01
    assert found["reset policy"].verdict in ("safe", "unknown")


def test_a_method_that_asks_for_labels_is_audited_with_the_right_ones(net):
    """Each check asks for the labels of its own stream by position, forgetting of a stream of two parts included."""

    class Asking(State):
        def __init__(self, model, generator):
            super().__init__(model, generator)
            self.seen = 0

        def step(self, batch):
            told = self.oracle.ask(torch.arange(self.seen, self.seen + len(batch)))
            self.seen += len(batch)
            self.cost.labels += len(batch)
            return torch.nn.functional.one_hot(told, 4).float()

    @dataclass(frozen=True)
    class Ask:
        contract: ClassVar[Contract] = Contract(predicts="before", network="student", changes="nothing", needs=("labels",))

        def start(self, model, source, generator):
            return Asking(model, generator)

    found = findings(net, Ask(), clean=CLEAN)
    assert found["independent order"].numbers["error"] == 0
    assert found["forgetting"].numbers == {"before": 0.0, "after": 0.0, "loss": 0.0, "low": 0.0, "high": 0.0}
    assert found["second round"].numbers["second"] == 0
    assert "labels" in found["cost"].said


def test_collages_hold_quarters_of_images_of_different_classes():
    inputs = torch.arange(40.0)[:, None, None, None].expand(40, 1, 8, 8)
    made = collages(inputs, torch.arange(40) % 10, 30, seed=0)
    corners = torch.stack([made[:, 0, 0, 0], made[:, 0, 0, -1], made[:, 0, -1, 0], made[:, 0, -1, -1]])
    assert torch.equal(corners.long() % 10 == (corners.long() % 10).roll(1, 0), torch.zeros(4, 30, dtype=torch.bool))
    flat = collages(torch.arange(40.0)[:, None].expand(40, 6), torch.arange(40) % 10, 30, seed=0)
    assert flat.shape == (30, 6)
    assert len({tuple(row.tolist()) for row in flat}) == 30

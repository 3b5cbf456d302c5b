"""The audit: its one rule, and that it finds what is known to be wrong and nothing where nothing can be."""

import json

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

pytest.importorskip("sklearn", reason="scikit-learn is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.audit import TOLERATED, Finding, audit, deployable, judged, to_json  # noqa: E402
from outthink.adapt.data import digits  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.source_model import SourceModel  # noqa: E402
from outthink.adapt.methods.tent import Tent  # noqa: E402
from outthink.adapt.networks import DigitNet, train  # noqa: E402
from outthink.adapt.streams import Domain  # noqa: E402
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
        "independent order": "safe", "correlated order": "safe", "small batches": "safe", "tenfold step size": "safe", "second round": "safe",
        "forgetting": "safe", "attack": "unknown", "cost": "fact",
    }  # fmt: skip
    assert found["correlated order"].numbers["loss"] == 0
    assert found["attack"].numbers["hits"] == 0
    assert deployable(list(found.values())).startswith("nothing unsafe")


def test_batch_statistics_fail_on_runs_of_one_class(digit):
    """On clean digits the network is right nearly always, and statistics of one class can only do harm."""
    found = findings(digit[0], BatchNormAdapt(), digit[1])
    assert found["correlated order"].verdict == "unsafe"
    assert "correlated order" in deployable(list(found.values())) or "do not deploy" in deployable(list(found.values()))
    assert found["forgetting"].verdict == "unknown"  # no clean samples were given
    assert found["tenfold step size"].verdict == "safe"
    assert found["cost"].numbers["backwards"] == 0


def test_steps_that_are_too_large_are_found(digit):
    found = findings(digit[0], Tent(lr=1.0), digit[1], clean=digit[1])
    assert found["tenfold step size"].verdict == "unsafe"
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


def test_progress_names_each_check_before_it_is_made(net):
    said = []
    made = audit(net, SourceModel(), [CLEAN], targets=1, progress=lambda name, done, total: said.append((name, done, total)))
    first = next(made)
    assert said == [("independent order", 0, 8)]
    assert first.check == "independent order"

"""The report of runs on a stream: images that several domains show count as one, and what it says is what was measured."""

import json

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.method import Contract, Cost  # noqa: E402
from outthink.adapt.online import Run  # noqa: E402
from outthink.evaluate.adapt_page import page  # noqa: E402
from outthink.evaluate.adapt_report import AdaptReport, notes, rows  # noqa: E402

CONTRACT = Contract(predicts="before", network="student", changes="nothing")


def run(wrong, images, domains, unknown=0):
    """Predictions of two classes that are wrong where it is said; `unknown` samples of no class at the end."""
    count = len(wrong) + unknown
    labels = torch.cat([torch.arange(len(wrong)) % 2, torch.full((unknown,), -1)])
    predicted = (labels.clamp_min(0) + torch.cat([torch.tensor(wrong), torch.zeros(unknown)])).long() % 2
    logits = torch.nn.functional.one_hot(predicted, 2).float() * 4
    logits[len(wrong) :] = 0.1  # in doubt
    rows = torch.cat([torch.tensor(images), torch.arange(unknown) + 1000])
    return Run(logits, labels, torch.arange(count) * len(domains) // count, rows, domains, Cost(count, 0, 0), 1.0)


def report(copies, **given):
    """A method that is right on 8 of 30 images where the source is wrong, each image shown several times with the same outcome."""
    source = [1] * 12 + [0] * 18
    own = [1] * 4 + [0] * 26
    images, domains = list(range(30)) * copies, tuple(f"domain {number}" for number in range(copies))
    runs = {"source": run(source * copies, images, domains), "tent": run(own * copies, images, domains)}
    return AdaptReport(runs, dict.fromkeys(runs, CONTRACT), {"stream": "continual"}, (), 0, **given)


def test_showing_every_image_five_times_is_no_evidence():
    once, often = report(1).differences()["tent"], report(5).differences()["tent"]
    assert often.gain.estimate == pytest.approx(once.gain.estimate) == pytest.approx(8 / 30)
    assert often.p == pytest.approx(once.p) == pytest.approx(2 / 2**8)  # eight images changed, all one way
    assert often.gain.high - often.gain.low == pytest.approx(once.gain.high - once.gain.low, rel=0.1)


def test_plain_data_has_every_number_and_survives_json():
    told = json.loads(json.dumps(report(2, clean={"tent": (0.1, 0.2)}).to_json()))
    tent = told["methods"][1]
    assert tent["error"]["estimate"] == pytest.approx(4 / 30)
    assert list(tent["by_domain"]) == ["domain 0", "domain 1"]
    assert tent["clean_error"] == {"before": 0.1, "after": 0.2}
    assert tent["open_world"] is None
    assert told["methods"][0]["gain_over_source"] is None
    assert len(rows(report(2))[1]) == 2


def test_notes_say_what_was_forgotten_and_how_unknown_samples_fared():
    mixed = run([0] * 20, list(range(20)), ("a",), unknown=20)
    said = notes(AdaptReport({"tent": mixed}, {"tent": CONTRACT}, {}, (("x.png", "broken"),), 0, {"tent": (0.01, 0.3)}))
    assert any("100.0 of the known accepted and right, 100.0 of the unknown rejected" in one for one in said)
    assert any("1.0 before the stream and 30.0 after it" in one for one in said)
    assert any("x.png" in one for one in said)


def test_a_page_escapes_what_came_from_outside_and_fetches_nothing():
    for module in ("altair", "vl_convert", "jinja2"):
        pytest.importorskip(module, reason=f"{module} is not installed; pip install 'outthink[report]'")
    runs = {"<script>alert(1)</script>": run([0, 1] * 40, list(range(80)), ("<b>fog</b>",))}
    text = page(AdaptReport(runs, dict.fromkeys(runs, CONTRACT), {"data": "<img src=x>"}, (), 0))
    body = text.split("<body>")[1].split("<script>")[0]
    assert "&lt;script&gt;alert(1)" in body
    assert "<b>fog" not in body
    assert "<img src=x>" not in body
    assert "Content-Security-Policy" in text

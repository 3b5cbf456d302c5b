"""`outthink adapt` as a user meets it, on the small network for digits that it trains itself."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")
pytest.importorskip("sklearn", reason="scikit-learn is not installed; pip install 'outthink[adapt]'")

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}
COMMAND = [sys.executable, "-c", "from outthink.cli import main; main()", "adapt"]


def outthink(*arguments, cwd=None):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd, timeout=120)


def test_list_and_show_are_read_from_the_code():
    listed = json.loads(outthink("list", "--json").stdout)
    names = {one["name"] for one in listed["methods"]}
    assert {"source", "bn_adapt", "tent", "rotta", "unmix", "cotta", "memo", "note", "ttac"} <= names
    streams = {one["name"]: one["knobs"] for one in listed["streams"]}
    assert streams["correlated"] == {"concentration": "0.1", "slots": "None"}
    assert {"independent", "continual", "gradual", "mixed", "long_tailed", "label_shifted", "open_world", "video"} < set(streams)
    assert "concentration" in outthink("show", "correlated").stdout
    shown = outthink("show", "rotta").stdout
    for word in ("alpha", "nu", "teacher", "batch norm", "0.05"):
        assert word in shown
    assert outthink("list", "--paper", "37").stdout.count("rotta") == 1


@pytest.mark.slow
def test_compare_puts_the_baselines_beside_a_method_and_tells_what_it_gains(tmp_path):
    page, out = tmp_path / "page.html", tmp_path / "runs"
    found = outthink("compare", "tent", "--corruption", "contrast:5", "--html", str(page), "--out", str(out), "--json", "--quiet")
    assert found.returncode == 0, found.stderr
    methods = {one["method"]: one for one in json.loads(found.stdout)["methods"]}
    assert list(methods) == ["source", "bn_adapt", "tent"]
    gain = methods["bn_adapt"]["gain_over_source"]
    assert gain["low"] > 0.3  # on low contrast batch statistics gain far more than any noise
    assert gain["p_holm"] < 0.001
    assert methods["tent"]["backwards"] == methods["tent"]["samples"] == 897
    assert methods["source"]["backwards"] == 0
    text = page.read_text()
    assert "Online error over the stream" in text
    assert "http://" not in text.split("<script>")[0]
    again = outthink("compare", "tent", "--corruption", "contrast:5", "--out", str(out), "--json", "--quiet")
    assert [one["error"] for one in json.loads(again.stdout)["methods"]] == [one["error"] for one in methods.values()]


@pytest.mark.slow
def test_an_audit_says_what_is_safe_and_its_status_tells_a_script(tmp_path):
    plain = ["audit", "builtin", "digits", "--corruption", "fog:3", "--limit", "300", "--targets", "2", "--json", "--quiet"]
    arguments = [*plain, "--out", str(tmp_path / "kept"), "--html", str(tmp_path / "page.html")]
    found = outthink(*arguments, "--method", "source")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert {one["verdict"] for one in told["findings"]} == {"safe", "fact"}
    assert len(told["findings"]) == 14
    kept = json.loads((tmp_path / "kept" / "audit.json").read_text())
    assert kept["findings"] == told["findings"]
    page = (tmp_path / "page.html").read_text()
    assert "nothing unsafe was found" in page
    assert "What each check lost" in page
    # it goes on after the checks that were made, and takes their findings as they are
    kept["findings"] = [{**kept["findings"][0], "said": "as it was"}]
    (tmp_path / "kept" / "audit.json").write_text(json.dumps(kept))
    again = json.loads(outthink(*arguments, "--method", "source").stdout)
    assert again["findings"][0]["said"] == "as it was"
    assert [one["said"] for one in again["findings"][1:-1]] == [one["said"] for one in told["findings"][1:-1]]  # the last is time
    other = outthink(*arguments, "--method", "tent")
    assert other.returncode == 6
    assert "'source'" in other.stderr
    # on clean digits in runs of one class batch statistics can only do harm
    worse = outthink("audit", "--method", "bn_adapt", "--corruption", "none", "--targets", "2", "--quiet")
    assert worse.returncode == 10
    assert "what to do" in worse.stdout


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    plain = ["run", "--method", "memo(views=8)", "--corruption", "fog:3", "--limit", "600", "--batch", "8", "--quiet"]
    arguments = [*plain, "--out", str(tmp_path / "run")]
    whole = json.loads(outthink(*plain, "--json").stdout)["methods"][0]
    process = subprocess.Popen([*COMMAND, *arguments], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "plan.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    finished = process.returncode == 0
    found = outthink(*arguments, "--json")
    assert found.returncode == 0, found.stderr
    after = json.loads(found.stdout)["methods"][0]
    assert after["error"] == whole["error"]
    assert after["forwards"] == whole["forwards"]
    assert finished or (tmp_path / "run" / "state.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--method", "tant"], "tent"),
        (["run", "--method", "tent(rate=1)"], "no knob 'rate'"),
        (["run", "--method", "tent(lr=-1)"], "lr must be 0 or more"),
        (["run", "--stream", "correlate"], "correlated"),
        (["run", "--corruption", "foggy"], "fog"),
        (["run", "--corruption", "fog:9"], "severity is 1 to 5"),
        (["run", "--data", "no-such-folder"], "no folder"),
        (["run", "--model", "net"], "MODULE:FUNCTION"),
        (["run", "--model", "no_such_module:make"], "cannot be imported"),
        (["run", "--model", "no_such.py:make"], "no such file"),
        (["run", "--stream", "label_shifted"], "needs shares"),
        (["run", "--stream", "label_shifted(shares=[1])"], "10 numbers"),
        (["run", "--stream", "label_shifted(shares=3)"], "shares=[10, 1, 1]"),
        (["run", "--stream", "correlatd"], "Did you mean correlated"),
        (["run", "--stream", "correlated(concentraton=0.1)"], "'concentration'"),
        (["run", "--stream", "correlated(concentration=0)"], "above 0"),
        (["run", "--stream", "independent", "--method", "simatta"], "--stream continual"),
        (["run", "--stream", "gradual", "--corruption", "none"], "severities"),
        (["show", "tant"], "tent"),
    ],
)
def test_bad_input_gets_one_sentence_and_a_status(arguments, said):
    found = outthink(*arguments, "--quiet") if arguments[0] == "run" else outthink(*arguments)
    assert found.returncode in (2, 3)
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert "defect" not in found.stderr


def test_a_model_of_ones_own_and_a_folder_of_images(tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed; pip install 'outthink[adapt]'")
    import numpy as np

    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    (tmp_path / "data" / "cat" / "broken.png").write_bytes(b"no image")
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).eval()\n"
    )
    arguments = ("run", "--model", "net.py:make", "--data", "data", "--method", "tent", "--batch", "4", "--quiet")
    found = outthink(*arguments, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "1 files did not decode" in found.stdout.replace("\n", " ")
    assert "broken.png" in found.stdout
    refused = outthink("run", "--data", "data", "--quiet", cwd=tmp_path)
    assert "needs your model" in refused.stderr
    (tmp_path / "train.py").write_text((tmp_path / "net.py").read_text().replace(".eval()", ""))
    assert "model.eval()" in outthink(*[part.replace("net.py", "train.py") for part in arguments], cwd=tmp_path).stderr


@pytest.fixture
def own(tmp_path):
    """A folder of gray images in two classes, and a file of models."""
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed; pip install 'outthink[adapt]'")
    import numpy as np

    rng = np.random.default_rng(0)
    for folder in ("data", "source", "unknown"):
        for label in ("cat", "dog"):
            (tmp_path / folder / label).mkdir(parents=True)
            for number in range(8):
                Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / folder / label / f"{number}.png")
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\n\n"
        "def make(outputs=2, seed=0):\n"
        "    torch.manual_seed(seed)\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, outputs)).eval()\n\n\n"
        "def three():\n    return make(3)\n\n\ndef other():\n    return make(seed=1)\n\n\ndef broken():\n    return {}['weights']\n"
    )
    return tmp_path


def test_gray_images_go_to_a_network_that_takes_gray_ones(own):
    found = outthink("run", "--model", "net.py:make", "--data", "data", "--source", "source", "--batch", "4", "--quiet", "--json", cwd=own)
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["methods"][0]["samples"] == 16
    assert 0 <= told["methods"][0]["clean_error"]["after"] <= 1
    assert told["methods"][0]["forwards"] == 16  # the measurement of forgetting is none of the run's cost


def test_classes_that_do_not_agree_are_named(own):
    wrong = outthink("run", "--model", "net.py:three", "--data", "data", "--quiet", cwd=own)
    assert wrong.returncode == 2
    assert "(1, 3)" in wrong.stderr
    assert "2 classes (cat, dog)" in wrong.stderr.replace("\n", " ")
    (own / "source" / "dog").rename(own / "source" / "hound")
    apart = outthink("run", "--model", "net.py:make", "--data", "data", "--source", "source", "--quiet", cwd=own)
    assert apart.returncode == 2
    assert "dog, hound" in apart.stderr


def test_an_error_in_the_users_code_is_theirs_with_its_place(own):
    found = outthink("run", "--model", "net.py:broken", "--data", "data", "--quiet", cwd=own)
    assert found.returncode == 2
    assert "broken() failed: KeyError" in found.stderr.replace("\n", " ")
    assert "net.py" in found.stderr
    assert "defect" not in found.stderr


def test_a_run_goes_on_with_the_same_weights_and_images_alone(own):
    arguments = ["run", "--model", "net.py:make", "--data", "data", "--batch", "4", "--quiet", "--out", "kept"]
    assert outthink(*arguments, cwd=own).returncode == 0
    (own / "net.py").write_text((own / "net.py").read_text().replace("seed=0", "seed=5"))
    other = outthink(*arguments, cwd=own)
    assert other.returncode == 6
    assert "weights" in other.stderr
    (own / "net.py").write_text((own / "net.py").read_text().replace("seed=5", "seed=0"))
    (own / "data" / "cat" / "0.png").unlink()
    assert "images" in outthink(*arguments, cwd=own).stderr


def test_a_state_that_was_cut_off_is_said(own):
    arguments = ["run", "--model", "net.py:make", "--data", "data", "--batch", "4", "--quiet", "--out", "kept"]
    assert outthink(*arguments, cwd=own).returncode == 0
    (own / "kept" / "state.pt").write_bytes(b"")
    cut = outthink(*arguments, cwd=own)
    assert cut.returncode == 6
    assert "cannot be continued from" in cut.stderr
    assert "Traceback" not in cut.stderr


def test_unknown_images_are_told_apart_from_known_ones_in_the_report(own):
    arguments = ["run", "--model", "net.py:make", "--data", "data", "--stream", "open_world", "--unknown", "unknown", "--batch", "8", "--quiet"]
    found = outthink(*arguments, "--json", cwd=own)
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)["methods"][0]
    assert told["samples"] == 32
    assert set(told["open_world"]) == {"known", "unknown", "harmonic", "auroc", "threshold"}
    assert "open world" in outthink(*arguments, cwd=own).stdout


@pytest.mark.slow
def test_every_corruption_that_was_asked_for_is_met():
    for stream, domains in (("gradual", 10), ("long_tailed", 2)):
        found = outthink("run", "--method", "source", "--stream", stream, "-c", "fog", "-c", "contrast", "--limit", "200", "--quiet", "--json")
        told = json.loads(found.stdout)
        assert len(told["methods"][0]["by_domain"]) == len(told["plan"]["domains"]) == domains


@pytest.mark.slow
@pytest.mark.parametrize("method", ["becotta(epochs=1)", "style_shift"])
def test_a_method_that_learns_from_several_domains_gets_them(method):
    found = outthink("run", "--method", method, "--corruption", "fog:3", "--limit", "100", "--quiet", "--json")
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
def test_a_label_budget_is_kept():
    found = outthink("run", "--method", "simatta", "--corruption", "fog:3", "--limit", "300", "--label-budget", "7", "--quiet", "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["methods"][0]["labels"] == 7

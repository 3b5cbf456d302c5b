"""What the commands on adaptation bring together fits: images come to the kind of number that a model computes in, and half precision is refused."""

import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed; pip install 'outthink[adapt]'")

import numpy as np  # noqa: E402

from outthink.cli.adapt.world import Wanted, world  # noqa: E402
from outthink.core.errors import UsageError  # noqa: E402

MODELS = """
from torch import nn


def _net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)).eval()


def double():
    return _net().double()


def half():
    return _net().half()


def training():
    return _net().train()
"""


def silent(what, done, total):
    pass


@pytest.fixture
def place(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("data", "source", "unknown"):
        for label in ("cat", "dog"):
            (tmp_path / folder / label).mkdir(parents=True)
            for number in range(4):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / folder / label / f"{number}.png")
    (tmp_path / "nets.py").write_text(MODELS)
    return tmp_path


def wanted(place, model, stream="continual", corruptions=None, unknown=None):
    folders = (str(place / "data"), str(place / "source"))
    return Wanted(f"{place / 'nets.py'}:{model}", *folders, stream, corruptions, 4, None, 0, unknown)


def test_images_come_to_the_kind_of_number_that_the_model_computes_in(place):
    here = world(wanted(place, "double", "open_world", unknown=place / "unknown"), silent)
    kinds = {here.clean.inputs.dtype, here.source.inputs.dtype, *(domain.inputs.dtype for domain in here.stream.domains)}
    assert kinds == {torch.float64}
    with pytest.raises(UsageError, match=r"float16 weights, .* adapt model.float\(\)"):
        world(wanted(place, "half"), silent)
    with pytest.raises(UsageError, match=r"train mode; call model.eval\(\)"):
        world(wanted(place, "training"), silent)


def test_a_misspelt_function_gets_the_nearest_of_the_models_own(place):
    with pytest.raises(UsageError, match="Did you mean 'double'"):
        world(wanted(place, "doubel"), silent)
    with pytest.raises(UsageError, match="Known: "):
        world(wanted(place, "n"), silent)
    assert "nets" not in sys.modules


def test_unknown_images_join_a_domain_under_its_own_corruption(place):
    """Else the contrast alone would tell them from the known."""
    here = world(wanted(place, "double", "open_world", ["contrast:5"], place / "unknown"), silent)
    known, strange = here.stream.domains
    # uniform pixels spread by 0.29 as they are and by 0.15 of that under this contrast; the means of three channels add a little
    for domain in (known, strange):
        assert 0.03 < float(domain.inputs.std((1, 2, 3)).mean()) < 0.1

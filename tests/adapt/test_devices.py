"""No method mixes tensors that it made on the default device with those of the model: what would fail where the model is on a GPU.

Every tensor that a factory made without `device=` is marked, and so is what comes of marked ones alone; `.to` takes the mark off. An operation
on marked and other tensors together would fail on a GPU. Indexing and single numbers may be mixed there too.
"""

import traceback
import weakref

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.method import Preparing, methods  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

FACTORIES = {
    torch.zeros, torch.ones, torch.tensor, torch.arange, torch.rand, torch.randn, torch.full, torch.eye, torch.linspace, torch.randperm,
    torch.randint, torch.empty, torch._sample_dirichlet, torch.normal, torch.as_tensor,
}  # fmt: skip
MAY_MIX = {"__getitem__", "__setitem__", "copy_", "type_as", "__get__"}


class DefaultDevice(TorchFunctionMode):
    """Notes where marked and other tensors meet."""

    def __init__(self):
        super().__init__()
        self._marks, self.met = {}, []

    def _marked(self, tensor):
        return id(tensor) in self._marks and self._marks[id(tensor)]() is tensor

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(function, "__name__", "")
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        found = function(*args, **kwargs)
        marks = [self._marked(one) for one in given]
        arrays = [mark for one, mark in zip(given, marks, strict=True) if one.ndim > 0]
        if name == "to":
            aims = [one for one in (*args[1:], *kwargs.values()) if isinstance(one, (torch.device, str, torch.Tensor))]
            found = found.view_as(found) if found is args[0] else found
            mark = marks[0] if not aims else any(isinstance(aim, torch.Tensor) and self._marked(aim) for aim in aims)
        elif name == "cpu":
            found, mark = found.view_as(found), True
        elif name == "__getitem__":
            mark = marks[0]
        else:
            if name not in MAY_MIX and any(arrays) and not all(arrays):
                at = [frame for frame in traceback.extract_stack() if "/outthink/" in frame.filename]
                self.met.append(f"{at[-1].filename}:{at[-1].lineno} {name}" if at else name)
            mark = (function in FACTORIES and "device" not in kwargs) or (bool(marks) and all(marks))
        if mark:
            self._marks |= {id(one): weakref.ref(one) for one in tree_leaves(found) if isinstance(one, torch.Tensor)}
        return found


@pytest.fixture(scope="module")
def net():
    return trained()


class Answers:
    def ask(self, ids):
        return torch.cat([labels(32, seed=100 + position) for position in range(3)]).to(ids.device)[ids]


@pytest.mark.parametrize("name", sorted(methods()))
def test_what_a_method_makes_is_where_its_model_is(name, net, monkeypatch):
    monkeypatch.setattr(torch, "from_numpy", torch.tensor)  # which a mode hears of
    way, source = methods()[name].cls(), Source(images(64, seed=7), labels(64, seed=7), torch.arange(64) % 2)
    stream = [images(32, seed=100 + position, shift=0.4 * position) for position in range(3)]
    base = way.prepare(net, source, seed=0) if isinstance(way, Preparing) else net
    with DefaultDevice() as seen:
        model = adapt(base, way, source=source, oracle=Answers() if "labels" in way.contract.needs else None)
        for batch in stream:
            model(batch)
    assert seen.met == []


def test_the_marks_find_a_tensor_that_was_made_on_the_default_device():
    with DefaultDevice() as seen:
        given = images(4)
        inputs = given.to("cpu")
        (inputs + torch.ones(4, 1, 8, 8).to(inputs)).sum()
        assert seen.met == []
        inputs * torch.arange(8)
    assert len(seen.met) == 1

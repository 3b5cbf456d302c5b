"""The door: which models are taken, and which are refused with what sentence."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import Net, images, trained  # noqa: E402
from torch import nn  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.method import lookup, methods  # noqa: E402
from outthink.adapt.methods.bn_adapt import BatchNormAdapt  # noqa: E402
from outthink.adapt.methods.rotta import Rotta  # noqa: E402
from outthink.adapt.methods.source_model import SourceModel  # noqa: E402
from outthink.adapt.methods.tent import Tent  # noqa: E402
from outthink.core.errors import UsageError  # noqa: E402


def test_the_source_predicts_each_sample_by_itself():
    net = trained()
    batch = images(32, shift=0.5)
    alone = torch.cat([adapt(net, SourceModel())(batch[i : i + 1]) for i in range(32)])
    together = adapt(net, SourceModel())(batch)
    assert torch.equal(together, net(batch).detach())
    assert torch.allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "method", "said"),
    [
        (Net().train(), Tent(), "model.eval"),
        (Net().eval().half(), Tent(), "half|float16"),
        (Net("none").eval(), Tent(), "t3a"),
        (Net("group").eval(), BatchNormAdapt(), "tent"),
        (nn.Flatten().eval(), SourceModel(), "no parameters"),
        (Net().eval().requires_grad_(False), Tent(), "frozen"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_what_would(model, method, said):
    with pytest.raises(ValueError, match=said):
        adapt(model, method)


def test_half_of_the_norms_may_be_frozen_and_stay():
    net = trained()
    net.body[1].requires_grad_(False)
    model = adapt(net, Tent(lr=0.1))
    for seed in range(3):
        model(images(32, seed=seed, shift=1.0))
    assert torch.equal(model.state.model.body[1].weight, net.body[1].weight)
    assert not torch.equal(model.state.model.body[4].weight, net.body[4].weight)


def test_a_compiled_model_is_taken():
    net = trained()
    compiled = torch.compile(net, backend="eager")
    assert torch.equal(adapt(compiled, SourceModel())(images(8)), adapt(net, SourceModel())(images(8)))


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match="tent"):
        lookup("tend")
    assert {"source", "bn_adapt", "tent"} <= set(methods())


@pytest.mark.parametrize("knobs", [{"alpha": 1.5}, {"alpha": -0.1}, {"prior": -1.0}])
def test_a_knob_outside_its_range_is_refused(knobs):
    with pytest.raises(ValueError, match="must be"):
        BatchNormAdapt(**knobs)


class _Wrapped(torch.nn.Module):
    def __init__(self, net, give):
        super().__init__()
        self.net, self.give = net, give

    def forward(self, batch):
        return self.give(self.net(batch))


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda logits: (logits, logits), "a tuple"),
        (lambda logits: {"logits": logits}, "a dict"),
        (lambda logits: logits[:, :, None], r"shape \(1, 4, 1\)"),
        (lambda logits: logits.sum(0, keepdim=True)[0], r"shape \(4,\)"),
    ],
)
def test_a_model_that_returns_no_logits_is_told_what_to_return(give, said):
    model = adapt(_Wrapped(trained(), give).eval(), Tent())
    with pytest.raises(ValueError, match=rf"_Wrapped returns {said} for one sample .* wrap it"):
        model(images(8))


def test_a_batch_on_another_device_is_refused():
    with pytest.raises(ValueError, match="is on cpu and the batch on meta; move it"):
        adapt(trained(), Tent())(images(8).to("meta"))


def test_a_saved_bank_comes_to_the_device_of_the_model(monkeypatch):
    """Torch leaves what is no parameter and no buffer where it was read; a device without data stands in for a GPU."""
    model = adapt(trained(), Rotta())
    model(images(8))
    kept, given = model.state_dict(), []
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda self, state, strict, assign: given.append(state))
    model._device = torch.device("meta")
    model.load_state_dict(kept)
    assert given[0]["state.bank._extra_state"]["samples"].device.type == "meta"
    assert kept["state.bank._extra_state"]["samples"].device.type == "cpu"

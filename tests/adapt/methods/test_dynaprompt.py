"""[120] Which prompts are chosen, that a fresh one is the initial one, that one prompt put back is TPT, and how many there are."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.augment import default_views  # noqa: E402
from outthink.adapt.methods.dynaprompt import DynaPrompt  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

FEW = {"views": 8, "prompts": 3}


@pytest.fixture(scope="module")
def towers():
    return DynaPrompt(epochs=20).prepare(trained(), Source(images(256, seed=7), labels(256, seed=7)), seed=0)


def test_the_two_towers_know_the_classes(towers):
    with torch.no_grad():
        found = towers(images(256, seed=9)).argmax(1)
    assert float((found == labels(256, seed=9)).double().mean()) > 0.9


def test_texts_are_unit_vectors_that_depend_on_the_context(towers):
    with torch.no_grad():
        said = towers.said(torch.stack([towers.context(0), towers.context(1)]))
    assert torch.allclose(said.norm(dim=2), torch.ones(2, 4), atol=1e-5)
    assert not torch.allclose(said[0], said[1], atol=1e-3)


def test_without_a_step_every_prompt_is_the_initial_one(towers):
    model = adapt(towers, DynaPrompt(lr=0.0, **FEW))
    with torch.no_grad():
        assert torch.allclose(model(images(16)), towers(images(16)), atol=1e-5)
    # none can be surer than the initial one that it equals, so slots are taken in turn
    assert sorted(model.state.used) == [0, 1, 2]


def test_there_are_never_more_prompts_than_slots_and_the_initial_one_stays(towers):
    model = adapt(towers, DynaPrompt(**FEW))
    for seed in range(3):
        model(images(8, seed=seed, shift=0.5))
        assert len(model.state.used) == len(set(model.state.used)) <= 3
        assert torch.equal(model.state.first, towers.context())
    assert model.state.offsets.shape[0] == 3


def test_one_prompt_put_back_after_each_sample_is_tpt(towers):
    """TPT by its definition: the entropy of the mean of the surest views, one AdamW step from the initial prompt."""

    def loud(batch, generator):
        # views that disagree: a step of Adam is the gradient's sign, which the mean of entropies would share on views that are alike
        return batch + 2.0 * torch.randn(batch.shape, generator=generator)

    way = DynaPrompt(prompts=1, select=False, keep=False, views=16, share=0.5, view=loud)
    batch = images(4, shift=0.7)
    found = adapt(towers, way, seed=3)(batch)
    draw = torch.Generator().manual_seed(3)
    for row, sample in enumerate(batch):
        views = torch.cat([sample[None], loud(sample.expand(15, -1, -1, -1), draw)])
        context = torch.nn.Parameter(torch.zeros_like(towers.context()))
        seen = towers.seen(views).detach()
        logits = towers.compare(seen, towers.said((towers.context().detach() + context)[None]))[0]
        each = torch.distributions.Categorical(logits=logits.detach()).entropy()
        mean = logits[each.argsort()[:8]].softmax(1).mean(0)
        optimiser = torch.optim.AdamW([context], lr=5e-3)
        torch.distributions.Categorical(probs=mean).entropy().backward()
        optimiser.step()
        wanted = towers.compare(seen[:1], towers.said((towers.context() + context)[None]))[0]
        assert torch.allclose(found[row], wanted[0].detach(), atol=1e-4)


def test_chosen_prompts_are_surer_and_steadier_than_the_initial_one(towers):
    model = adapt(towers, DynaPrompt(**FEW))
    for seed in range(4):
        model(images(8, seed=seed, shift=0.5))
    state = copy.deepcopy(model.state)
    seen = towers.seen(torch.cat([images(1, seed=20), default_views(images(1))(images(7, seed=20), torch.Generator().manual_seed(0))])).detach()
    used = list(state.used)
    with torch.no_grad():
        logits = torch.stack([state._logits(seen, state.offsets[slot : slot + 1])[0] for slot in used])
        first = state._logits(seen, torch.zeros_like(state.offsets[:1]))[0]

    def measured(one):
        p = one.softmax(1)
        return float(-(p * p.log()).sum(1).mean()), float(p[0].max() - p[1:].amax(1).mean())

    wanted = [slot for slot, one in zip(used, logits, strict=True) if measured(one)[0] < measured(first)[0] and measured(one)[1] > measured(first)[1]]
    chosen = state._chosen(seen)
    if wanted:
        assert chosen == wanted
    else:
        assert len(chosen) == 1
        assert float(state.offsets[chosen[0]].abs().max()) == 0.0  # a fresh one


def test_a_prompt_must_be_both_surer_and_steadier_and_all_that_are_are_chosen(towers):
    """Forty prompts at random: every pairing of surer or not and steadier or not is among them."""
    state = adapt(towers, DynaPrompt(views=8, prompts=40)).state
    state.offsets.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(0))
    state.used = list(range(40))
    seen = towers.seen(images(8, seed=20, shift=0.5)).detach()
    with torch.no_grad():
        p = state._logits(seen, torch.cat([torch.zeros_like(state.offsets[:1]), state.offsets])).softmax(2)
    doubt = torch.special.entr(p).sum(2).mean(1)
    steady = p[:, 0].amax(1) - p[:, 1:].amax(2).mean(1)
    kinds = list(zip((doubt < doubt[0])[1:].tolist(), (steady > steady[0])[1:].tolist(), strict=True))
    assert len(set(kinds)) == 4
    wanted = [slot for slot, kind in enumerate(kinds) if kind == (True, True)]
    assert state._chosen(seen) == wanted
    assert state.used == [slot for slot in range(40) if slot not in wanted] + wanted  # the last chosen are the last to be given up


def test_samples_of_one_batch_come_one_after_another(towers):
    whole = adapt(towers, DynaPrompt(**FEW))(images(6, shift=0.5))
    model = adapt(towers, DynaPrompt(**FEW))
    assert torch.allclose(whole, torch.cat([model(sample[None]) for sample in images(6, shift=0.5)]), atol=1e-5)


def test_what_does_not_fit_is_named(towers):
    with pytest.raises(ValueError, match="prepared"):
        adapt(trained(), DynaPrompt())
    with pytest.raises(ValueError, match="labelled"):
        DynaPrompt().prepare(trained(), Source(images(8)), seed=0)
    with pytest.raises(ValueError, match="share"):
        DynaPrompt(share=0.0)
    with pytest.raises(ValueError, match="difference"):
        DynaPrompt(difference="odds")

"""The pitfalls of [31], one function each: a case in, a finding out."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from outthink.adapt.attack import attempt, coupling
from outthink.adapt.audit.case import Case, by_place, logits
from outthink.adapt.audit.finding import Finding, Point, Verdict, judged, points, worst
from outthink.adapt.losses import entropy
from outthink.adapt.method import Method
from outthink.adapt.online import Run, run_online
from outthink.adapt.selection import run_protocol
from outthink.adapt.streams import Stream, collages, continual, correlated, long_tailed, mixed, open_world
from outthink.stats import auroc, auroc_difference, wilson_interval

BATCH, SIZES, FACTORS, NOISES, MALICIOUS = 64, (1, 4, 16, 64), (0.1, 1.0, 10.0), (0.1, 0.2), 0.1
SWEEP = 512
"""Samples of a sweep, about."""
_RATIO, _STEPS_A_BATCH = 20.0, 3
_ATTACK_BATCH, _STEPS, _SIZE = 100, 25, 16 / 255

QUESTIONS: Mapping[str, str] = {
    "independent order": "Is it better than no adaptation where samples come independently, one domain after another?",
    "mixed order": "Does it stay as good as no adaptation where a batch holds all domains?",
    "correlated order": "Does it stay as good as no adaptation where classes come in runs?",
    "long-tailed order": f"Does it stay as good as no adaptation where one class is {_RATIO:.0f} times as frequent as another?",
    "batch size": "Down to which batch does it stay as good as no adaptation?",
    "step size": "Does it stay as good as no adaptation with steps a tenth and ten times as large?",
    "model quality": "Does it stay as good as no adaptation on a worse model (weights disturbed)?",
    "reset policy": "Is it as good without a reset as with one before each domain?",
    "second round": "Does it stay as good when it meets the same domains again?",
    "forgetting": "Is it as good on clean samples after the stream as from a fresh start?",
    "selection": "How much of its gain with several steps a batch needs the labels of that batch?",
    "unknown classes": "Does it still tell samples of unknown classes by their entropy as well as before?",
    "attack": f"Can the owner of {MALICIOUS:.0%} of a batch choose another sample's label?",
    "cost": "What does it cost?",
}


def checks(case: Case, targets: int) -> dict[str, Callable[[], Finding]]:
    """Every check by its name, in order; each works when it is called.

    Args:
        targets: samples that the attack is tried on.
    """
    domains, seed = case.domains, case.seed
    return {
        "independent order": lambda: _order(case, "independent order", continual(domains, batch=BATCH, seed=seed)),
        "mixed order": lambda: _order(case, "mixed order", mixed(domains, batch=BATCH, seed=seed)),
        "correlated order": lambda: _order(case, "correlated order", correlated(domains, batch=BATCH, seed=seed)),
        "long-tailed order": lambda: _order(case, "long-tailed order", long_tailed(domains[0], ratio=_RATIO, batch=BATCH, seed=seed)),
        "batch size": lambda: _batch_size(case),
        "step size": lambda: _step_size(case),
        "model quality": lambda: _quality(case),
        "reset policy": lambda: _reset(case),
        "second round": lambda: _second_round(case),
        "forgetting": lambda: _forgetting(case),
        "selection": lambda: _selection(case),
        "unknown classes": lambda: _unknown(case),
        "attack": lambda: _attack(case, targets),
        "cost": lambda: _cost(case),
    }


def _finding(check: str, said: str, verdict: Verdict, *, tried: Sequence[Point] = (), advice: str = "", **numbers: float) -> Finding:
    return Finding(check, QUESTIONS[check], said, verdict, numbers, tuple(tried), advice)


_ADVICE = {
    "independent order": "do not deploy it here",
    "mixed order": "keep batches to one domain, or take unmix",
    "correlated order": "shuffle before predicting, or take rotta, note, unmix or lame, which are made for runs of one class",
    "long-tailed order": "take rotta or note, which balance what they learn from",
}


def _order(case: Case, check: str, stream: Stream) -> Finding:
    if len(stream.order) % stream.batch and len(stream.order) % stream.batch < case.method.contract.smallest_batch:
        stream = Stream(stream.domains, stream.order[: len(stream.order) // stream.batch * stream.batch], stream.batch)
    found = case.point(check, stream)
    verdict = judged(found.loss)
    return _finding(
        check, f"error {found.source_error:.1%} -> {found.error:.1%}, a difference of {points(found.loss)} points", verdict,
        advice=_ADVICE[check] if verdict == "unsafe" else "", error=found.error, source_error=found.source_error, loss=found.loss.estimate,
        low=found.loss.low, high=found.loss.high,
    )  # fmt: skip


def _listed(tried: Sequence[Point]) -> str:
    return "; ".join(f"{point.label}: {points(point.loss)}" for point in tried) + " points of error"


def _sweep(check: str, tried: Sequence[Point], advice: str, said: str = "") -> Finding:
    verdict = worst([point.loss for point in tried]) if tried else "unsafe"
    numbers = {f"loss at {point.label}": point.loss.estimate for point in tried}
    told = "; ".join(part for part in (_listed(tried) if tried else "", said) if part)
    return _finding(check, told, verdict, tried=tried, advice=advice if verdict == "unsafe" else "", **numbers)


def _batch_size(case: Case) -> Finding:
    few, tried, refused = case.few(SWEEP), [], ""
    for size in SIZES:
        stream = continual(few, batch=size, seed=case.seed)
        whole = len(stream.order) // size * size  # the rest is no batch of this size
        if whole == 0:
            break
        try:
            tried.append(case.point(f"{size}", Stream(stream.domains, stream.order[:whole], size)))
        except ValueError as reason:
            refused = f"refuses batches of {size}: {reason}"
    good = [point.label for point in tried if judged(point.loss) != "unsafe"]
    advice = f"collect batches of at least {good[0]}" if good else "no batch size that was tried is safe"
    found = _sweep("batch size", tried, advice, refused)
    return dataclasses.replace(found, verdict="unsafe", advice=advice) if refused else found


def _step_size(case: Case) -> Finding:
    lr = getattr(case.method, "lr", None)
    if not isinstance(lr, float) or lr == 0:
        return _finding("step size", "it takes no steps", "safe")
    stream = continual(case.few(SWEEP), batch=BATCH, seed=case.seed)
    tried = [case.point(f"lr {factor * lr:.2g}", stream, _with(case.method, lr=factor * lr)) for factor in FACTORS]
    good = [point.label for point in tried if judged(point.loss) == "safe"]
    return _sweep(
        "step size", tried, f"of these only {', '.join(good)} {'is' if len(good) == 1 else 'are'} safe" if good else "none of these is safe"
    )


def _with(method: Method, **knobs: object) -> Method:
    changed: Method = dataclasses.replace(method, **knobs)  # type: ignore[type-var]  # a method is a dataclass
    return changed


def _quality(case: Case) -> Finding:
    stream = continual(case.few(SWEEP), batch=BATCH, seed=case.seed)
    tried = [case.point(f"noise {noise:g}", stream, model=_disturbed(case.model, noise, case.seed)) for noise in NOISES]
    worse = ", ".join(f"{point.source_error:.1%}" for point in tried)
    said = f"weights moved by these shares of each layer's spread, which brings the model's own error to {worse}"
    return _sweep("model quality", tried, "check again whenever the model is trained anew: what it gains depends on how good the model is", said)


def _disturbed(model: nn.Module, noise: float, seed: int) -> nn.Module:
    made, draw = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.numel() > 1:
                parameter.add_(noise * parameter.std() * torch.randn(parameter.shape, generator=draw).to(parameter))
    return made


def _reset(case: Case) -> Finding:
    if len(case.domains) < 2:
        return _finding("reset policy", "there is one domain, so there is no change to reset at", "fact")
    never = case.run(continual(case.domains, batch=BATCH, seed=case.seed))
    fresh = [case.run(continual([domain], batch=BATCH, seed=case.seed)) for domain in case.domains]
    own = never.wrong[by_place(never)]
    other = np.concatenate([run.wrong[by_place(run)] for run in fresh])
    loss = case.loss(own, other, never.clusters[by_place(never)])
    verdict = judged(loss)
    said = f"error {own.mean():.1%} without, {other.mean():.1%} with a reset before each domain, a difference of {points(loss)} points"
    advice = "call reset() where the domain changes" if verdict == "unsafe" else ""
    return _finding(
        "reset policy",
        said,
        verdict,
        advice=advice,
        never=float(own.mean()),
        reset=float(other.mean()),
        loss=loss.estimate,
        low=loss.low,
        high=loss.high,
    )


def _second_round(case: Case) -> Finding:
    run = case.run(continual([*case.domains, *case.domains], batch=BATCH, seed=case.seed))
    half = len(run.wrong) // 2
    # domains stand twice in a row: sorted by place, the second half of them is the second round
    ordered, rows = run.wrong[by_place(run)], run.clusters[by_place(run)]
    first, second = ordered[:half], ordered[half:]
    loss = case.loss(second, first, rows[:half])
    verdict = judged(loss)
    said = f"error {first.mean():.1%} in the first round, {second.mean():.1%} in the second, a difference of {points(loss)} points"
    advice = "reset it from time to time, or take eata or rotta, which hold on to the source" if verdict == "unsafe" else ""
    return _finding(
        "second round", said, verdict, advice=advice, first=float(first.mean()), second=float(second.mean()), loss=loss.estimate, low=loss.low,
        high=loss.high,
    )  # fmt: skip


def _forgetting(case: Case) -> Finding:
    if case.clean is None:
        return _finding("forgetting", "no clean samples were given", "unknown")
    alone = case.run(continual([case.clean], batch=BATCH, seed=case.seed))
    # one stream, so that a method that asks for labels by position asks for the right ones
    run = case.run(continual([*case.domains, case.clean], batch=BATCH, seed=case.seed))
    last = run.wrong[by_place(run)][-len(alone.wrong) :]
    fresh = alone.wrong[by_place(alone)]
    loss = case.loss(last, fresh, alone.clusters[by_place(alone)])
    verdict = judged(loss)
    said = f"clean error {fresh.mean():.1%} from a fresh start and {last.mean():.1%} after the stream, a difference of {points(loss)} points"
    advice = "call reset() when the world is as it was, or take smaller steps" if verdict == "unsafe" else ""
    return _finding(
        "forgetting",
        said,
        verdict,
        advice=advice,
        before=float(fresh.mean()),
        after=float(last.mean()),
        loss=loss.estimate,
        low=loss.low,
        high=loss.high,
    )


def _selection(case: Case) -> Finding:
    if "labels" in case.method.contract.needs:
        return _finding("selection", "it asks for labels by position, so a batch cannot be shown to it several times", "fact")
    stream = continual(case.few(SWEEP), batch=BATCH, seed=case.seed)
    once = case.run(stream)
    last, oracle = (run_protocol(case.adapted(stream), stream, steps=_STEPS_A_BATCH, select=select, episodic=False) for select in ("last", "oracle"))
    gap = last.less(oracle, seed=case.seed)
    said = (
        f"error {once.wrong.mean():.1%} with one step a batch, {last.wrong.mean():.1%} after {_STEPS_A_BATCH}, and {oracle.wrong.mean():.1%} if "
        f"labels choose the best of them: {points(gap)} points that cannot be deployed"
    )
    return _finding("selection", said, "fact", once=float(once.wrong.mean()), last=float(last.wrong.mean()), oracle=float(oracle.wrong.mean()))


def _unknown(case: Case) -> Finding:
    if "labels" in case.method.contract.needs:
        return _finding("unknown classes", "it asks for labels, and unknown samples have none that it could learn", "fact")
    # where the model is best: elsewhere its doubt says nothing that could be lost
    domain = min(case.domains, key=lambda each: float((case.plain_logits(each).argmax(1) != each.labels).double().mean()))
    strangers = collages(domain.inputs, domain.labels, len(domain.labels), seed=case.seed) if case.unknown is None else case.unknown
    count = min(len(strangers), len(domain.labels))
    stream = open_world(domain, strangers, batch=BATCH, seed=case.seed, ratio=count / len(domain.labels))
    run = case.run(stream)
    inputs = torch.cat([batch.inputs for batch in stream])
    doubt = {"own": entropy(run.logits.double()).numpy(), "plain": entropy(logits(case.model, inputs).double()).numpy()}
    known = run.known.numpy()
    loss = auroc_difference(-doubt["plain"], -doubt["own"], known)
    before, after = auroc(-doubt["plain"], known), auroc(-doubt["own"], known)
    verdict = judged(loss)
    said = (
        f"AUROC {before:.3f} -> {after:.3f} with {count} unknown samples among {len(domain.labels)} ({domain.name}), a loss of {points(loss)} points"
    )
    advice = "reject by the scores of the model as it was, or take stamp, which leaves unknown samples alone" if verdict == "unsafe" else ""
    return _finding("unknown classes", said, verdict, advice=advice, before=before, after=after, loss=loss.estimate, low=loss.low, high=loss.high)


def _attack(case: Case, targets: int) -> Finding:
    stream = continual(case.domains[:1], batch=_ATTACK_BATCH, seed=case.seed)
    batch = next(iter(stream))
    count = max(1, round(MALICIOUS * len(batch.inputs)))
    tried = min(targets, len(batch.inputs) - count)
    low, high = float(batch.inputs.min()), float(batch.inputs.max())
    if tried < 1:
        return _finding("attack", f"a batch of {len(batch.inputs)} is too small to try it", "unknown")
    model = case.adapted(stream)
    bond = coupling(model, batch.inputs, malicious=torch.arange(len(batch.inputs) - count, len(batch.inputs)), seed=case.seed)
    if bond.none:
        return _finding("attack", "no prediction depends on another sample of its batch: not a bit changed when the others were replaced", "safe")
    if bond.unseen:
        said = f"samples touch one another through the learning step alone (a logit moved by {bond.moved:.2g}), which this attack does not follow"
        return _finding("attack", said, "unknown", moved=bond.moved)
    if low < 0 or high > 1:
        return _finding("attack", f"tried on inputs in [0, 1] alone, and these lie in [{low:.2g}, {high:.2g}]", "unknown", moved=bond.moved)
    labels = stream.labels(batch.ids)
    hits = sum(
        attempt(copy.deepcopy(model), batch.inputs, labels, malicious=count, target=target, steps=_STEPS, size=_SIZE).succeeded
        for target in range(tried)
    )
    most = float(wilson_interval([hits], [tried])[1][0])
    said = f"{hits} of {tried} targets got the wanted label ({_STEPS} steps; at most {most:.0%} at 95%)"
    advice = "let no stranger fill a batch, or take robust_bn, bn_adapt(alpha=0.1), rotta or note" if hits else ""
    return _finding(
        "attack", said, "unsafe" if hits else "unknown", advice=advice, hits=float(hits), targets=float(tried), most=most, moved=bond.moved
    )  # fmt: skip


def _cost(case: Case) -> Finding:
    stream = continual(case.few(SWEEP), batch=BATCH, seed=case.seed)
    own, plain = case.run(stream), _as_it_was(case, stream)
    count, times = len(own.labels), own.seconds / plain.seconds
    forwards, backwards = own.cost.forwards / count, own.cost.backwards / count
    said = f"{forwards:.2g} forward and {backwards:.2g} backward passes a sample, {times:.1f} times the model's own time here"
    if own.cost.labels:
        said += f", {own.cost.labels} labels for {count} samples"
    return _finding("cost", said, "fact", forwards=forwards, backwards=backwards, times=times, labels=float(own.cost.labels))


def _as_it_was(case: Case, stream: Stream) -> Run:
    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.source_model import SourceModel

    return run_online(adapt(case.model, SourceModel()), stream)

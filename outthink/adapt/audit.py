"""What may go wrong with a method on a given model and data before it is deployed: the pitfalls of [31], tried one by one.

    for finding in audit(net, Tent(), domains, clean=clean, source=source, seed=0):
        print(finding.verdict, finding.check, finding.said)

Every check compares the method with the model as it was, on the same samples. The rule is stated once: a loss is `unsafe` when its 95% interval is
above 0, `safe` when it ends below `TOLERATED`, and `unknown` otherwise, which more samples may settle.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from outthink.adapt.adapter import Adapted, adapt
from outthink.adapt.attack import attempt
from outthink.adapt.method import Labels, Method
from outthink.adapt.methods.source_model import SourceModel
from outthink.adapt.online import Run, run_afterwards, run_online
from outthink.adapt.source import Source
from outthink.adapt.streams import Domain, Oracle, Stream, continual, correlated
from outthink.stats import Interval, paired_bootstrap, wilson_interval

Verdict = Literal["safe", "unsafe", "unknown", "fact"]
TOLERATED = 0.02
"""A loss of accuracy that ends below this is counted as none."""
BATCH, SMALL, MALICIOUS = 64, 4, 0.1
_ATTACK_BATCH, _STEPS, _SIZE = 100, 25, 16 / 255


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        check: its name.
        question: what it asks.
        said: the answer, with the numbers.
        verdict: `fact` for what is no question of safety.
        numbers: the same for programs; shares in [0, 1].
    """

    check: str
    question: str
    said: str
    verdict: Verdict
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class _Case:
    model: nn.Module
    method: Method
    domains: Sequence[Domain]
    source: Source | None
    seed: int

    def adapted(self, stream: Stream, method: Method | None = None) -> Adapted:
        way = self.method if method is None else method
        oracle: Labels | None = Oracle(stream, budget=len(stream.order)) if "labels" in way.contract.needs else None
        return adapt(self.model, way, source=self.source, seed=self.seed, oracle=oracle)

    def plain(self, stream: Stream) -> Run:
        return run_online(adapt(self.model, SourceModel()), stream)


def audit(
    model: nn.Module, method: Method, domains: Sequence[Domain], *, clean: Domain | None = None, source: Source | None = None, seed: int = 0,
    targets: int = 10, progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Finding]:  # fmt: skip
    """Try a method's pitfalls; findings come as they are made.

    Args:
        model: as `adapt` takes it; prepared where the method asks for it.
        method: to be deployed.
        domains: labelled samples of what it will meet.
        clean: labelled samples like those it was trained on; without them forgetting is `unknown`.
        source: what it was trained on, for methods that keep something of it.
        seed: of every draw.
        targets: samples that the attack is tried on.
        progress: called with (check, done, checks in all) before each check.
    """
    case = _Case(model, method, domains, source, seed)
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("independent order", lambda: _order(case, "independent order", continual(domains, batch=BATCH, seed=seed))),
        ("correlated order", lambda: _order(case, "correlated order", correlated(domains, batch=BATCH, seed=seed))),
        ("small batches", lambda: _order(case, "small batches", continual(domains, batch=SMALL, seed=seed))),
        ("tenfold step size", lambda: _step_size(case)),
        ("second round", lambda: _second_round(case)),
        ("forgetting", lambda: _forgetting(case, clean)),
        ("attack", lambda: _attack(case, targets)),
        ("cost", lambda: _cost(case)),
    ]
    for number, (name, check) in enumerate(checks):
        if progress is not None:
            progress(name, number, len(checks))
        yield check()


_QUESTIONS = {
    "independent order": "Is it better than no adaptation where samples come independently?",
    "correlated order": "Does it stay as good as no adaptation where classes come in runs?",
    "small batches": f"Does it stay as good as no adaptation in batches of {SMALL}?",
    "tenfold step size": "Does it stay as good as no adaptation with steps ten times as large?",
    "second round": "Does it stay as good when it meets the same domains again?",
    "forgetting": "Is it as good on clean samples afterwards as before?",
    "attack": f"Can the owner of {MALICIOUS:.0%} of a batch choose another sample's label?",
    "cost": "What does it cost?",
}


def judged(loss: Interval) -> Verdict:
    """The rule: unsafe when the loss is above 0, safe when it ends below `TOLERATED`."""
    if loss.low > 0:
        return "unsafe"
    return "safe" if loss.high < TOLERATED else "unknown"


def _finding(check: str, said: str, verdict: Verdict, **numbers: float) -> Finding:
    return Finding(check, _QUESTIONS[check], said, verdict, numbers)


def _against(case: _Case, check: str, stream: Stream, method: Method | None = None) -> Finding:
    try:
        own = run_online(case.adapted(stream, method), stream)
    except ValueError as refused:  # a batch that the method does not take, with its reason
        return _finding(check, str(refused), "unsafe")
    plain = case.plain(stream)
    loss = own.less(plain, seed=case.seed)
    error, before = float(own.wrong.mean()), float(plain.wrong.mean())
    said = f"error {before:.1%} -> {error:.1%}, a difference of {100 * loss.estimate:+.1f} points [{100 * loss.low:+.1f}, {100 * loss.high:+.1f}]"
    return _finding(check, said, judged(loss), error=error, source_error=before, loss=loss.estimate, low=loss.low, high=loss.high)


def _order(case: _Case, check: str, stream: Stream) -> Finding:
    return _against(case, check, stream)


def _step_size(case: _Case) -> Finding:
    check = "tenfold step size"
    lr = getattr(case.method, "lr", None)
    if not isinstance(lr, float) or lr == 0:
        return _finding(check, "it takes no steps", "safe")
    knobs = {field.name: getattr(case.method, field.name) for field in dataclasses.fields(case.method)}  # type: ignore[arg-type]
    larger: Method = type(case.method)(**{**knobs, "lr": 10 * lr})
    return _against(case, check, continual(case.domains, batch=BATCH, seed=case.seed), larger)


def _second_round(case: _Case) -> Finding:
    stream = continual([*case.domains, *case.domains], batch=BATCH, seed=case.seed)
    run = run_online(case.adapted(stream), stream)
    # the same images in another order: brought to the order of the images, halves are paired
    order = stream.order.clone()
    order[:, 0] %= len(case.domains)
    half = len(run.wrong) // 2
    keys = order[:, 0] * (int(order[:, 1].max()) + 1) + order[:, 1]
    first, second = run.wrong[:half][keys[:half].argsort().numpy()], run.wrong[half:][keys[half:].argsort().numpy()]
    loss = paired_bootstrap(second, first, seed=case.seed)
    said = f"error {first.mean():.1%} in the first round, {second.mean():.1%} in the second [{100 * loss.low:+.1f}, {100 * loss.high:+.1f}]"
    return _finding("second round", said, judged(loss), first=float(first.mean()), second=float(second.mean()), low=loss.low, high=loss.high)


def _forgetting(case: _Case, clean: Domain | None) -> Finding:
    if clean is None:
        return _finding("forgetting", "no clean samples were given", "unknown")
    stream, after = continual(case.domains, batch=BATCH, seed=case.seed), continual([clean], batch=BATCH, seed=case.seed)
    model = case.adapted(stream)
    fresh = run_online(case.adapted(after), after)
    run_online(model, stream)
    found = run_afterwards(model, after, adapting=True)
    loss = found.less(fresh, seed=case.seed)
    said = (
        f"clean error {fresh.wrong.mean():.1%} for a fresh start and {found.wrong.mean():.1%} after the stream "
        f"[{100 * loss.low:+.1f}, {100 * loss.high:+.1f}]"
    )
    return _finding("forgetting", said, judged(loss), before=float(fresh.wrong.mean()), after=float(found.wrong.mean()), low=loss.low, high=loss.high)


def _attack(case: _Case, targets: int) -> Finding:
    stream = continual(case.domains[:1], batch=_ATTACK_BATCH, seed=case.seed)
    batch = next(iter(stream))
    malicious = max(1, round(MALICIOUS * len(batch.inputs)))
    tried = min(targets, len(batch.inputs) - malicious)
    low, high = float(batch.inputs.min()), float(batch.inputs.max())
    if low < 0 or high > 1 or tried < 1:
        return _finding("attack", f"tried on inputs in [0, 1] alone, and these lie in [{low:.2g}, {high:.2g}]", "unknown")
    labels = stream.labels(batch.ids)
    model = case.adapted(stream)
    hits = sum(
        attempt(copy.deepcopy(model), batch.inputs, labels, malicious=malicious, target=target, steps=_STEPS, size=_SIZE).succeeded
        for target in range(tried)
    )
    ends = wilson_interval([hits], [tried])
    most = float(ends[1][0])
    said = f"{hits} of {tried} targets got the wanted label ({_STEPS} steps; at most {most:.0%} at 95%)"
    return _finding("attack", said, "unsafe" if hits else "unknown", hits=float(hits), targets=float(tried), most=most)


def _cost(case: _Case) -> Finding:
    stream = continual(case.domains[:1], batch=BATCH, seed=case.seed)
    own, plain = run_online(case.adapted(stream), stream), case.plain(stream)
    count = len(own.labels)
    times = own.seconds / plain.seconds
    said = (
        f"{own.cost.forwards / count:.2g} forward and {own.cost.backwards / count:.2g} backward passes a sample, "
        f"{times:.1f} times the model's own time here"
    )
    if own.cost.labels:
        said += f", {own.cost.labels} labels"
    return _finding(
        "cost", said, "fact", forwards=own.cost.forwards / count, backwards=own.cost.backwards / count, times=times, labels=float(own.cost.labels)
    )  # fmt: skip


def deployable(findings: Sequence[Finding]) -> str:
    """One sentence: what is safe to deploy, and under which conditions."""
    verdicts = {finding.check: finding.verdict for finding in findings}
    unsafe = [finding.check for finding in findings if finding.verdict == "unsafe"]
    if verdicts.get("independent order") == "unsafe":
        return "do not deploy: it is worse than no adaptation even where samples come independently"
    if not unsafe:
        open_ = [finding.check for finding in findings if finding.verdict == "unknown"]
        return "nothing unsafe was found" + (f"; not settled: {', '.join(open_)}" if open_ else "")
    return f"deploy only where these cannot happen: {', '.join(unsafe)}"


def to_json(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Plain data."""
    return [dataclasses.asdict(finding) for finding in findings]

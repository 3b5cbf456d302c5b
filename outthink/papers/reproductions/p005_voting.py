"""[5] InternVL2.5: voting over sampled chains of thought, the prompt that asks for them, and the filter of looping texts.

The paper: chain-of-thought prompting gains 3.7 points on MMMU for the 78B model, majority voting adds to it, and filtering
repetitive responses out of the training data keeps long chains of thought from breaking.

Here: the vote's law, exact and through the real strategy; the two prompts on small models and generated arithmetic; the filter on
planted loops. Not covered: images, MMMU, the effect of the filter on training.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from outthink.core import data
from outthink.core.request import Sampling
from outthink.models import store
from outthink.models.simulated import LatentAnswers
from outthink.papers.arithmetic import PROMPTS, Exercise, products, sums
from outthink.papers.evidence import share_matches, wilson
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.stack import RIGHT, answers_in, record_samples, right_ones, same_problems, solve_each, truths
from outthink.stats import majority_law, paired_bootstrap
from outthink.strategies.majority_vote import MajorityVote
from outthink.verifiers.repetition import Repetition

SEED = 5
SPREAD: dict[str | None, float] = {RIGHT: 0.4, "1": 0.15, "2": 0.15, "3": 0.15, "4": 0.15}
RIVAL: dict[str | None, float] = {RIGHT: 0.4, "1": 0.6}
CODER = "qwen2.5-coder-0.5b-instruct-q4_k_m"


def _law(distribution: Mapping[str | None, float], k: int) -> float:
    return float(majority_law(list(distribution.values()), [answer == RIGHT for answer in distribution], [k])[0])


@reproduction(paper=5, kind="exact", fast=True)
def vote_law() -> Iterator[Measured]:
    """The vote goes to the most probable answer: to the right one if it leads, to the wrong one if that leads."""
    law = _law(SPREAD, 15)
    yield Measured.within("vote of 15, right .4 and four wrong answers of .15 each", value=law, target=0.779, tolerance=0.001)
    counted = _counted_out(list(SPREAD.values()), 15)
    yield Measured.at_most("the same against counting out all 3,876 outcomes (deviation)", value=abs(law - counted), bound=1e-12)
    yield Measured.within("vote of 15, right .4 against one wrong answer of .6", value=_law(RIVAL, 15), target=0.2131, tolerance=0.00005)
    yield Measured.above("vote of 501, right .4 against four of .15: to 1", value=_law(SPREAD, 501), bound=0.999)
    yield Measured.below("vote of 501, right .4 against one of .6: to 0", value=_law(RIVAL, 501), bound=0.001)


def _counted_out(chances: list[float], k: int) -> float:
    # chance that class 0 wins a vote of k, ties shared: the sum over all ways to split k votes
    total = 0.0
    for cuts in itertools.combinations(range(k + len(chances) - 1), len(chances) - 1):
        edges = (-1, *cuts, k + len(chances) - 1)
        votes = [after - before - 1 for before, after in itertools.pairwise(edges)]
        if votes[0] == max(votes):
            ways = math.factorial(k) / math.prod(math.factorial(count) for count in votes)
            total += ways * math.prod(chance**count for chance, count in zip(chances, votes, strict=True)) / votes.count(votes[0])
    return total


@reproduction(paper=5, kind="simulated", fast=True)
def vote_strategy() -> Iterator[Measured]:
    """The strategy `majority_vote`, run through real sessions on known answer distributions."""
    problems = same_problems(200)
    for named, distribution, target in (("four wrong answers of .15 each", SPREAD, 0.779), ("one wrong answer of .6", RIVAL, 0.2131)):
        model = LatentAnswers({problem.id: distribution for problem in problems}, truths(problems))
        right = right_ones(solve_each(MajorityVote(15), model, problems, seed=SEED))
        yield share_matches(f"majority_vote(n=15) at right .4 and {named}", successes=right, trials=200, chance=target, seed=SEED)


@reproduction(paper=5, kind="recorded", fast=True, needs=("data:gsm8k/items",))
def repetition_filter() -> Iterator[Measured]:
    """The repetition filter finds n-gram loops that were planted in a fifth of real solution texts."""
    rng = random.Random(SEED)
    texts = [str(row["rationale"]) for row in data.read("gsm8k")]
    planted = set(rng.sample(range(len(texts)), len(texts) // 5))
    shown = [_with_loop(text, rng) if number in planted else text for number, text in enumerate(texts)]
    judge = Repetition()
    found = {number for number, text in enumerate(shown) if judge.loops(text)}
    hits = len(found & planted)
    size = f"{len(texts)} texts, {len(planted)} with a loop of 1 to 12 words standing 4 to 12 times"
    for named, right, of in (("recall", hits, len(planted)), ("precision", hits, len(found))):
        yield Measured.at_least(
            f"{named} of the repetition filter", value=right / of if of else 0.0, interval=wilson(right, of) if of else None, bound=0.95,
            data="gsm8k/items with planted loops", seed=SEED, size=size,
            not_covered="loops that vary (counters); the paper's model-based quality score",
        )  # fmt: skip


def _with_loop(text: str, rng: random.Random) -> str:
    words = text.split()
    length = rng.randint(1, min(12, len(words)))
    start = rng.randrange(len(words) - length + 1)
    copies = rng.randint(4, 12)
    while copies * length < 0.4 * len(words):  # a loop that the text gets stuck in, not a slip of the tongue
        copies += 1
    return " ".join([*words[: start + length], *(words[start : start + length] * (copies - 1)), *words[start + length :]])


def _record(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    from outthink.models.embedded import EmbeddedModel

    path = store.find(str(params["model"]))
    if path is None:
        raise FileNotFoundError(f"the model {params['model']} went away while its answers were being recorded")
    for level, exercises in _levels(int(params["items"])).items():
        for prompt in ("direct", "cot"):
            problems = [exercise.problem(prompt) for exercise in exercises]
            # the same allowance for both arms: neither is cut where the other is not
            record_samples(
                folder / f"{level}-{prompt}.sqlite", EmbeddedModel(path), problems, n=1,
                sampling=Sampling(temperature=0.0, max_tokens=int(params["max_tokens"])), seed=SEED, progress=progress,
            )  # fmt: skip


def _levels(items: int) -> dict[str, list[Exercise]]:
    return {"products": products(items, seed=SEED), "sums": sums(items // 2, digits=1, seed=SEED)}


_ASKED: dict[str, str | int | float] = {"items": 80, "max_tokens": 256, **PROMPTS}
CODER_ANSWERS = Fixture("cot-coder", _record, {"model": CODER, **_ASKED}, "about ten minutes on two cores")
DEFAULT_ANSWERS = Fixture("cot-default", _record, {"model": store.DEFAULT, **_ASKED}, "about five minutes on two cores")


@reproduction(paper=5, kind="real", needs=(f"model:{CODER}",), prepare=CODER_ANSWERS)
def chain_of_thought_coder() -> Iterator[Measured]:
    """Asking Qwen2.5-Coder-0.5B for its reasoning first gains 10 points on two-step products, and nearly nothing on one-digit sums."""
    yield from _gains(CODER_ANSWERS)


@reproduction(paper=5, kind="real", needs=("model",), prepare=DEFAULT_ANSWERS)
def chain_of_thought_default() -> Iterator[Measured]:
    """The same with the default model, SmolLM2-135M."""
    yield from _gains(DEFAULT_ANSWERS)


def _gains(fixture: Fixture) -> Iterator[Measured]:
    model = str(fixture.params["model"])
    for level, exercises in _levels(int(fixture.params["items"])).items():
        right = {}
        for prompt in ("direct", "cot"):
            found = answers_in(fixture.path / f"{level}-{prompt}.sqlite", [exercise.problem(prompt) for exercise in exercises])
            right[prompt] = [float(found[exercise.id][:1] == [exercise.key]) for exercise in exercises]
        gain = paired_bootstrap(right["cot"], right["direct"], seed=SEED)
        scores = f"direct {sum(right['direct']):.0f}, CoT {sum(right['cot']):.0f} of {len(exercises)}"
        interval = (gain.low, gain.high)
        if level == "products":
            yield Measured.at_least(
                f"{model}: CoT less direct prompt on two-step products, in shares", value=gain.estimate, interval=interval, bound=0.10,
                data="generated", seed=SEED, size=scores, not_covered="MMMU and images",
            )  # fmt: skip
        else:
            yield Measured.covers(
                f"{model}: CoT less direct prompt on one-digit sums, in shares", value=gain.estimate, target=0.0, widest=0.2, interval=interval,
                data="generated", seed=SEED, size=scores,
            )  # fmt: skip

"""Simulated models of more than one call: reasoning in steps, and answers that are verified and revised.

    StepChain    P(step right | all before right) = p, P(step right | one before wrong) = 0; P(right) = p^L      L steps
    ReviseChain  initial P(right) = p0; verdict "correct" with TPR t | right, FPR f | wrong; a revision is right with
                 probability 1 - b if the answer was right, g if it was wrong        [23]

All is derived from the draw's seed and problem and from the text it is shown. A token is a word.
"""

from __future__ import annotations

import abc
import random
import re
from collections.abc import AsyncGenerator, Mapping, Sequence

from outthink.core.completion import Chunk, Embedding, Failure, TokenLogprobs
from outthink.core.errors import CapabilityError
from outthink.core.protocols import Scores
from outthink.core.request import Draw, Prefix, Request
from outthink.core.spend import Price
from outthink.models._instrument import Reply, Served, timed, words_of
from outthink.models.simulated import PLAIN, Speech, uttered

STEP_SEPARATOR = "\n\n"
_STEP = re.compile(r"Step (\d+) gives (\S+)\.")
_ANSWER = re.compile(r"[Tt]he answer is (\S+?)\.?(?=\s|$)")


class _Chain(abc.ABC):
    """What both chains share: a truth, a way to speak, counts."""

    engine = "simulated"
    exact_prompt = True
    scores: Scores = "no"

    def __init__(self, truth: Mapping[str, str], distractors: int, speech: Speech, price: Price, shares_prompt: bool, name: str) -> None:
        if distractors < 1:
            raise ValueError(f"distractors must be 1 or more, got {distractors}")
        self.truth = dict(truth)
        self.distractors = distractors
        self.speech = speech
        self.price = price
        self.shares_prompt = shares_prompt
        self.name = name
        self.served = Served()

    def prompt_bound(self, request: Request) -> int:
        """The words of the prompt: exact."""
        return words_of(request)

    def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        """Serve draws; a draw of an unknown problem is a failure."""
        return timed(draws, [self._served(draw) for draw in draws], self.served, shares_prompt=self.shares_prompt)

    def _served(self, draw: Draw) -> Reply:
        right = self.truth.get(draw.problem or "")
        if right is None:
            return Reply((), Failure("unknown problem", f"{self.name} knows no problem {draw.problem!r}"))
        return self._reply(draw, right, random.Random(f"{draw.seed}/{draw.problem}"))

    @abc.abstractmethod
    def _reply(self, draw: Draw, right: str, rng: random.Random) -> Reply: ...

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Refused: it has no token probabilities."""
        raise CapabilityError(f"{self.name} cannot score continuations; use a real model, such as the embedded engine")

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Refused."""
        raise CapabilityError(f"{self.name} has no embeddings; use a real model, such as the embedded engine")

    async def aclose(self) -> None:  # noqa: B027  # both chains have nothing to free
        """Nothing to free."""

    def _wrong(self, right: str, rng: random.Random) -> str:
        return f"{right}{rng.randint(1, self.distractors)}"

    def _capture_refused(self, request: Request) -> str | None:
        sampling, capture = request.sampling, request.capture
        if capture.unserved:
            return f"{self.name}: {capture.unserved}"
        if sampling.grammar or sampling.json_schema or capture.top_logprobs or capture.token_logprobs:
            return f"{self.name} has no vocabulary: no grammar, schema or captured probabilities; use a real model"
        return None


class StepChain(_Chain):
    """A model that reasons in steps; a wrong step stays wrong.

    Step i of a right chain reads `Step i gives ok.`, of a wrong one `Step i gives 3.` (the number tells one error from another);
    after L steps comes `The answer is X.`. Steps are parted by a blank line, so that stop=("\\n\\n",) gives one step, and a prefix is
    continued from where it stands. Temperature is not looked at.

    Args:
        truth: problem id -> right answer.
        steps: L, steps before the answer.
        p_step: probability that a step is right if all before it are.
        distractors: how many wrong answers there are.
        speech: `delay_s` and `failure_rate` count; lengths follow from the steps.
        price, shares_prompt, name: as for every instrument.
    """

    def __init__(
        self,
        truth: Mapping[str, str],
        *,
        steps: int = 4,
        p_step: float = 0.8,
        distractors: int = 4,
        speech: Speech = PLAIN,
        price: Price = Price(),
        shares_prompt: bool = False,
        name: str = "step-chain",
    ) -> None:
        if steps < 1 or not 0 <= p_step <= 1:
            raise ValueError(f"a step chain needs 1 or more steps and p_step in [0, 1], got {steps} and {p_step}")
        super().__init__(truth, distractors, speech, price, shares_prompt, name)
        self.steps = steps
        self.p_step = p_step

    def refuses(self, request: Request) -> str | None:
        """It continues its own text only, and stops at nothing but a blank line."""
        if set(request.sampling.stop) - {STEP_SEPARATOR}:
            return f"{self.name} can stop at a blank line only, not at {request.sampling.stop}"
        return self._capture_refused(request)

    def _reply(self, draw: Draw, right: str, rng: random.Random) -> Reply:
        before = draw.request.prefix.text if draw.request.prefix else ""
        done = _STEP.findall(before)
        good, error = step_states(before)[-1:] != [False], rng.randint(1, self.distractors)
        if not good:  # the first error decides: the chain ends in the same wrong answer however it goes on
            error = int(next(mark for _, mark in done if mark != "ok"))
        blocks = []
        for number in range(len(done) + 1, self.steps + 1):
            good = good and rng.random() < self.p_step
            blocks.append(f"Step {number} gives {'ok' if good else error}.")
        if not _ANSWER.search(before):
            blocks.append(f"The answer is {right if good else f'{right}{error}'}.")
        if STEP_SEPARATOR in draw.request.sampling.stop:
            blocks = blocks[:1]
        words = f"{STEP_SEPARATOR} ".join(blocks).split(" ")  # the separator stays at the end of a step's last word
        return uttered(draw, words if blocks else [], self.speech, rng)


def step_states(text: str) -> list[bool]:
    """Whether the chain of a `StepChain` text is still right after each of its steps."""
    states: list[bool] = []
    for _, mark in _STEP.findall(text):
        states.append(mark == "ok" and states[-1:] != [False])
    return states


class ReviseChain(_Chain):
    """A model that answers, judges an answer, and revises it, each with known probabilities (a SETS-like Markov chain [23]).

    What is asked is told by the name in the request's `prompt_version` (`verify/2` and `revise/1` are a verdict and a revision, anything
    else a first answer). The answer that is judged or revised is the last `the answer is X` in the prompt.

    Args:
        truth: problem id -> right answer.
        p0: probability that a first answer is right.
        tpr, fpr: probability of the verdict "correct" for a right and for a wrong answer.
        keep: probability that revising a right answer leaves it right (1 - b).
        fix: probability that revising a wrong answer makes it right (g).
        verdicts: the words for "correct" and "incorrect".
        distractors, speech, price, shares_prompt, name: as for every instrument.
    """

    def __init__(
        self,
        truth: Mapping[str, str],
        *,
        p0: float = 0.4,
        tpr: float = 0.9,
        fpr: float = 0.3,
        keep: float = 0.9,
        fix: float = 0.3,
        verdicts: tuple[str, str] = ("Verdict: correct", "Verdict: incorrect"),
        distractors: int = 4,
        speech: Speech = PLAIN,
        price: Price = Price(),
        shares_prompt: bool = False,
        name: str = "revise-chain",
    ) -> None:
        for knob, value in (("p0", p0), ("tpr", tpr), ("fpr", fpr), ("keep", keep), ("fix", fix)):
            if not 0 <= value <= 1:
                raise ValueError(f"revise chain: {knob} must be a probability, got {value}")
        super().__init__(truth, distractors, speech, price, shares_prompt, name)
        self.p0, self.tpr, self.fpr, self.keep, self.fix = p0, tpr, fpr, keep, fix
        self.verdicts = verdicts

    def refuses(self, request: Request) -> str | None:
        """It writes whole texts: nothing to continue and no stop."""
        if request.prefix is not None or request.sampling.stop:
            return f"{self.name} writes whole texts: no prefix and no stop; use StepChain or a real model"
        return self._capture_refused(request)

    def _reply(self, draw: Draw, right: str, rng: random.Random) -> Reply:
        # a prompt to verify or revise that shows no answer is a failure
        asked = draw.request.prompt_version.split("/")[0]
        shown = [found for message in draw.request.messages for found in _ANSWER.findall(message.text)]
        if asked in ("verify", "revise") and not shown:
            return Reply((), Failure("no answer shown", f"{self.name} was asked to {asked} and the prompt says no 'the answer is X'"))
        was_right = bool(shown) and shown[-1] == right
        if asked == "verify":
            accepted = rng.random() < (self.tpr if was_right else self.fpr)
            return uttered(draw, self.verdicts[0 if accepted else 1].split(), self.speech, rng)
        p = (self.keep if was_right else self.fix) if asked == "revise" else self.p0
        answer = right if rng.random() < p else self._wrong(right, rng)
        return uttered(draw, ["The", "answer", "is", f"{answer}."], self.speech, rng)

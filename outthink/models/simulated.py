"""Simulated models with known truth: instruments on which every method's theorem can be checked, with exact accounting.

`LatentAnswers` draws each answer from a distribution that belongs to the problem. The step chain and the revise/verify chain are in
`outthink.models.simulated_chains`, the verifiers with known error rates in `outthink.verifiers.simulated`.

All is derived from the draw's seed and problem, so results do not depend on timing. A token is a word.
"""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from outthink.core.completion import Chunk, Embedding, Failure, TokenLogprobs
from outthink.core.errors import CapabilityError
from outthink.core.protocols import Scores
from outthink.core.request import Draw, Prefix, Request
from outthink.core.spend import Price
from outthink.models._instrument import Reply, Served, spoken, timed, words_of

Distribution = Mapping[str | None, float]
"""Answer -> probability; None is a text without an answer."""


@dataclass(frozen=True, slots=True)
class Speech:
    """How long an instrument speaks, how fast, and how often it breaks.

    Args:
        shortest, longest: words of a text, uniform between the two (at least 4 words are needed to say the answer).
        wrong_longer: a text with a wrong or no answer has that many times as many words.
        delay_s: seconds a word; each draw gets its own speed between 0.5 and 1.5 times that, so they finish in another order.
        failure_rate: probability that a draw breaks, after a uniformly drawn number of its words.
    """

    shortest: int = 6
    longest: int = 12
    wrong_longer: float = 1.0
    delay_s: float = 0.0
    failure_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 4 <= self.shortest <= self.longest:
            raise ValueError(f"speech needs 4 <= shortest <= longest words, got {self.shortest} and {self.longest}")
        if not 0 <= self.failure_rate <= 1:
            raise ValueError(f"failure_rate must be in [0, 1], got {self.failure_rate}")
        if not (self.wrong_longer >= 1 and self.delay_s >= 0):
            raise ValueError(f"wrong_longer must be 1 or more and delay_s 0 or more, got {self.wrong_longer} and {self.delay_s}")


PLAIN = Speech()


class LatentAnswers:
    """A model whose answer to each problem is one draw from a known distribution.

    At temperature 0 it gives the most probable answer (the first one on a tie); at any other it draws from the distribution as it is.
    The log probability of a text is that of its answer.

    Args:
        answers: problem id -> answer -> probability (they sum to 1); None as an answer is a text that says none.
        truth: problem id -> right answer.
        speech: lengths, speed, failures.
        price: what its tokens cost.
        shares_prompt: whether the draws of one request in one call are billed one prompt.
        name: identity, part of every call's key.
    """

    engine = "simulated"
    exact_prompt = True
    scores: Scores = "no"

    def __init__(
        self,
        answers: Mapping[str, Distribution],
        truth: Mapping[str, str],
        *,
        speech: Speech = PLAIN,
        price: Price = Price(),
        shares_prompt: bool = False,
        name: str = "latent-answers",
    ) -> None:
        for problem, distribution in answers.items():
            total = math.fsum(distribution.values())
            if min(distribution.values(), default=-1.0) < 0 or not math.isclose(total, 1.0, abs_tol=1e-9):
                raise ValueError(f"latent answers of {problem!r}: probabilities must be 0 or more and sum to 1, got a sum of {total:g}")
        self.answers = {problem: dict(distribution) for problem, distribution in answers.items()}
        self.truth = dict(truth)
        self.speech = speech
        self.price = price
        self.shares_prompt = shares_prompt
        self.name = name
        self.served = Served()

    @classmethod
    def drawn(
        cls,
        truth: Mapping[str, str],
        alpha: float = 1.0,
        beta: float = 1.0,
        *,
        distractors: int = 4,
        seed: int,
        speech: Speech = PLAIN,
        price: Price = Price(),
        shares_prompt: bool = False,
        name: str = "latent-answers",
    ) -> LatentAnswers:
        """A model with p(right) ~ Beta(alpha, beta) for every problem, the rest spread evenly over wrong answers.

        Args:
            truth: problem id -> right answer. Wrong answers are the right one followed by 1, 2, ... (integers stay integers).
            alpha, beta: shape of the Beta distribution.
            distractors: how many wrong answers share the rest.
            seed: of the difficulties; a problem's difficulty does not depend on which others there are.
            speech, price, shares_prompt, name: as above.
        """
        if distractors < 1:
            raise ValueError(f"distractors must be 1 or more, got {distractors}")
        answers: dict[str, Distribution] = {}
        for problem, right in truth.items():
            p = random.Random(f"{seed}/{problem}").betavariate(alpha, beta)
            answers[problem] = {right: p, **{f"{right}{wrong}": (1 - p) / distractors for wrong in range(1, distractors + 1)}}
        return cls(answers, truth, speech=speech, price=price, shares_prompt=shares_prompt, name=name)

    def p_right(self, problem: str) -> float:
        """Probability that one sample of this problem is right."""
        return self.answers[problem].get(self.truth[problem], 0.0)

    def refuses(self, request: Request) -> str | None:
        """It answers from the problem's distribution: nothing to continue, no format, no inside."""
        capture = request.capture
        if request.prefix is not None or request.sampling.grammar or request.sampling.json_schema:
            return f"{self.name} draws whole answers: no prefix, grammar or schema; use simulated_chains.StepChain or a real model"
        if capture.unserved:
            return f"{self.name}: {capture.unserved}"
        if capture.top_logprobs:
            return f"{self.name} has no vocabulary to capture from; use a real model, such as the embedded engine"
        return None

    def prompt_bound(self, request: Request) -> int:
        """The words of the prompt: exact."""
        return words_of(request)

    def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        """Serve draws; a draw of an unknown problem is a failure."""
        return timed(draws, [self._reply(draw) for draw in draws], self.served, shares_prompt=self.shares_prompt)

    def _reply(self, draw: Draw) -> Reply:
        distribution = self.answers.get(draw.problem or "")
        if distribution is None:
            return Reply((), Failure("unknown problem", f"{self.name} knows no problem {draw.problem!r}"))
        rng = random.Random(f"{draw.seed}/{draw.problem}")
        if draw.request.sampling.temperature == 0:
            answer = max(distribution, key=lambda each: distribution[each])
        else:
            (answer,) = rng.choices(list(distribution), list(distribution.values()))
        right = answer is not None and answer == self.truth.get(draw.problem or "")
        length = round(rng.randint(self.speech.shortest, self.speech.longest) * (1.0 if right else self.speech.wrong_longer))
        ending = ["I", "cannot", "tell."] if answer is None else ["The", "answer", "is", *f"{answer}.".split()]
        words = ["Thinking."] * (length - len(ending)) + ending
        logprobs = [0.0] * (len(words) - 1) + [math.log(distribution[answer])]
        return uttered(draw, words, self.speech, rng, logprobs)

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Refused: it has answers, no token probabilities."""
        raise CapabilityError(f"{self.name} cannot score continuations; use a real model, such as the embedded engine")

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Refused."""
        raise CapabilityError(f"{self.name} has no embeddings; use a real model, such as the embedded engine")

    async def aclose(self) -> None:
        """Nothing to free."""


def uttered(draw: Draw, words: Sequence[str], speech: Speech, rng: random.Random, logprobs: Sequence[float] | None = None) -> Reply:
    """The reply that says these words (cut at `max_tokens`), or breaks on the way as `speech` has it, at a speed of its own."""
    fails, where, pace = rng.random() < speech.failure_rate, rng.random(), 0.5 + rng.random()
    completion = spoken(draw.request, words, logprobs)
    kept = tuple(words[: completion.usage.completion_tokens])
    if fails:
        return Reply(kept[: int(where * len(kept))], Failure("broken", "the simulated model broke off"), speech.delay_s * pace)
    return Reply(kept, completion, speech.delay_s * pace)

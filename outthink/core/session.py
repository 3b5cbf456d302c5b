"""The session: the only door to anything that costs. It meters, records, seeds, resumes and cuts; strategies do none of that."""

from __future__ import annotations

import dataclasses
import functools
import traceback
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

import anyio

from outthink.core import calls, flights
from outthink.core.completion import Embedding, TokenLogprobs, Usage
from outthink.core.errors import CapabilityError, OutthinkError, VerifierError
from outthink.core.journal import Call, CallKind, Journal
from outthink.core.keys import digest, place_seed
from outthink.core.meter import Hold, Meter, Place, Ticket
from outthink.core.problem import Problem
from outthink.core.protocols import Comparer, Job, Model, Outcome, Sandbox, Verifier
from outthink.core.request import Prefix, Request, Sampling
from outthink.core.shared import Event, Shared
from outthink.core.solution import Candidate, Candidates, Judgement, Preference
from outthink.core.spec import describe
from outthink.core.spend import Budget, Spend
from outthink.core.together import together

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
R = TypeVar("R")
J = TypeVar("J", Judgement, Preference)


class Session:
    """Samples, judges, executes; knows its place, its budget and its role.

    Make a root session with `Session.open`; children come from `at`, `role`, `limit` and `branches`.
    """

    def __init__(self, shared: Shared, place: Place, role: str, meter: Meter, hold: Hold, judging: bool = False) -> None:
        self.shared = shared
        self.place = place
        self.role_name = role
        self.meter = meter
        self.hold = hold
        self.judging = judging  # a judge and whatever it calls share one hold: what was set aside for judging

    @classmethod
    def open(
        cls,
        models: Model | Mapping[str, Model],
        *,
        journal: Journal | None = None,
        budget: Budget = Budget(),
        sampling: Sampling = Sampling(),
        seed: int = 0,
        place: Place = (),
        sandbox: Sandbox | None = None,
        listen: Callable[[Event], None] | None = None,
    ) -> Session:
        """A root session for one solve; call it inside a running event loop.

        Args:
            models: the model, or role -> model; the role `policy` is required, other roles fall back to it.
            journal: where calls are recorded and looked up; in memory if None.
            budget: caps over all roles together. `seconds` counts from now.
            sampling: defaults for requests made from a problem.
            seed: every draw's seed is derived from it and the draw's place.
            place: where this solve stands, usually (problem id,). Equal places share recorded samples.
            sandbox: what runs code.
            listen: called with every event, in the event loop; it must be quick.

        Raises:
            UsageError: a cap on dollars or FLOPs where no model has a price in them.
        """
        roles = models if isinstance(models, Mapping) else {"policy": models}
        if "policy" not in roles:
            raise ValueError(f"models needs the role 'policy', got only {', '.join(roles) or 'nothing'}")
        budget.check(model.price for model in roles.values())
        deadline = float("inf") if budget.seconds is None else anyio.current_time() + budget.seconds
        shared = Shared(roles, Journal() if journal is None else journal, sandbox, sampling, seed, listen, deadline)
        return cls(shared, (*place, f"seed={seed}"), "policy", Meter(budget), Hold())

    @property
    def model(self) -> Model:
        """The model of this session's role."""
        return self.shared.models.get(self.role_name, self.shared.models["policy"])

    @property
    def model_key(self) -> str:
        """Model and engine, as part of call keys."""
        return f"{self.model.name}@{self.model.engine}"

    @property
    def sampling(self) -> Sampling:
        """How requests made from a problem are sampled unless the strategy says otherwise."""
        return self.shared.sampling

    def price_bound(self, request: Request) -> Spend:
        """An upper bound of what one sample of this request costs in this session's role."""
        model = self.model
        return model.price.of(Usage(model.prompt_bound(request), request.sampling.max_tokens))

    def score_bound(self, request: Request, continuations: Sequence[Prefix]) -> Spend:
        """An upper bound of what scoring these continuations together costs in this session's role."""
        return calls.score_bound(self.model, request, continuations)

    @functools.cached_property
    def path(self) -> str:
        """The place as text."""
        return "/".join(str(part).replace("/", "∕") for part in self.place)

    def at(self, *place: str | int) -> Session:
        """The session at a place below this one: own seeds, own journal keys."""
        below = (*self.place, *place)
        hold = self.hold if self.judging else self.shared.hold(below, self.meter)
        return Session(self.shared, below, self.role_name, self.meter, hold, self.judging)

    def role(self, name: str) -> Session:
        """The session of another role: its model, ledger and price. The role `judge` may use what this session set aside for judging."""
        judging = self.judging or name == "judge"
        below = (*self.place, name)
        return Session(self.shared, below, name, self.meter, self.hold if judging else self.shared.hold(below, self.meter), judging)

    def limit(self, budget: Budget) -> Session:
        """A session under a further budget; what it reserves is reserved above too. `seconds` is only possible at the root."""
        if budget.seconds is not None:
            raise ValueError("limit: seconds can only be capped for the whole solve; cap tokens, calls or dollars here")
        meter = Meter(budget, self.meter)
        hold = self.hold if self.judging else self.shared.hold(self.place, meter)
        return Session(self.shared, self.place, self.role_name, meter, hold, self.judging)

    def seed(self, *place: str | int) -> int:
        """A 31-bit seed that depends on the run's seed and the place only."""
        return place_seed(self.shared.seed, (*self.place, *place))

    def rng(self, *place: str | int) -> np.random.Generator:
        """A random generator that belongs to this place."""
        import numpy as np

        return np.random.default_rng(self.seed(*place))

    def offer(self, candidate: Candidate, score: float) -> None:
        """Best so far: what the solve returns if it is ended from outside. A later offer wins with a higher score."""
        if self.shared.offered is None or score > self.shared.offered[0]:
            self.shared.offered = (score, candidate)

    async def sample(
        self, ask: Problem | Request, n: int = 1, *, judged_by: Verifier | None = None, aside: Sequence[Spend] | None = None
    ) -> Candidates:
        """Draw n samples. Fewer than n is normal: `missing` says why.

        Args:
            ask: a problem (its plain request, with this session's sampling; answers are parsed by its kind), or a request.
            n: how many. Further calls at the same place with the same request go on with the next indices.
            judged_by: a verifier that will judge them: its cost is set aside before the samples are admitted.
            aside: what else to set aside for the role `judge` with each of the n samples, such as its share of comparisons.

        Raises:
            CapabilityError: the model cannot serve this request.
            ModelError: the model cannot be reached at all.
        """
        return (await self.sample_each([ask], n, judged_by=judged_by, aside=aside))[0]

    async def sample_each(
        self, asks: Sequence[Problem | Request | tuple[Problem, Request]], n: int = 1, *, judged_by: Verifier | None = None,
        aside: Sequence[Spend] | None = None,
    ) -> list[Candidates]:  # fmt: skip
        """Draw n samples of each of several prompts in one go, admitted in the order given; see `sample`.

        A pair (problem, request) asks the request and parses by the problem's answer kind.
        """
        if n < 0:
            raise ValueError(f"sample: n must be 0 or more, got {n}")
        if aside is not None and len(aside) != n:
            raise ValueError(f"sample: aside needs one amount a sample: got {len(aside)} for {n}")
        if not self.judging:
            self.shared.turnstile.release(self.hold)
        batches = flights.prepare(self, asks, n, judged_by, aside)
        await flights.fly(self, [flight for batch in batches for flight in batch])
        return [flights.collect(self, batch) for batch in batches]

    async def judge(self, verifier: Verifier, problem: Problem, candidates: Sequence[Candidate]) -> list[Judgement]:
        """Judge candidates on the judge's ledger; check count and range, and record every judgement.

        Raises:
            VerifierError: the verifier raised, or did not return a judgement for each candidate.
        """
        if not candidates:
            return []
        if getattr(verifier, "sees_key", False):
            self.shared.saw_key = True
        judge = self.role("judge")
        name = describe(verifier)
        judgements = await _asked(verifier.judge(problem, candidates, judge), f"verifier {name}", Judgement, "candidates", len(candidates))
        self.shared.turnstile.release(self.hold, len(candidates))
        checked = [judgement.checked(*verifier.score_range) for judgement in judgements]
        for judgement in checked:
            if judgement.failure:
                self.shared.miss("judgement failed", judgement.failure)
        digests = [digest("judge", candidate.key or candidate.text) for candidate in candidates]
        judge._record("judge", name, problem.id, digests, [c.key for c in candidates], [dataclasses.asdict(j) for j in checked])
        return checked

    async def compare(self, comparer: Comparer, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]]) -> list[Preference]:
        """Compare pairs on the judge's ledger; a probability outside [0, 1] is a failure. Every comparison is recorded.

        Raises:
            VerifierError: the comparer raised, or did not return a preference for each pair.
        """
        if not pairs:
            return []
        judge = self.role("judge")
        name = describe(comparer)
        preferences = await _asked(comparer.compare(problem, pairs, judge), f"comparer {name}", Preference, "pairs", len(pairs))
        checked = [preference.checked() for preference in preferences]
        for preference in checked:
            if preference.failure:
                self.shared.miss("comparison failed", preference.failure)
        digests = [digest("compare", a.key or a.text, b.key or b.text) for a, b in pairs]
        judge._record("compare", name, problem.id, digests, [a.key for a, _ in pairs], [dataclasses.asdict(p) for p in checked])
        return checked

    def _record(
        self, kind: CallKind, model: str, problem: str, digests: Sequence[str], parents: Sequence[str], bodies: Sequence[dict[str, object]]
    ) -> None:
        # results without a cost of their own (what they sampled is recorded apart): written once, a resumed run finds them
        rows = []
        for content, parent, body in zip(digests, parents, bodies, strict=True):
            draw = self.shared.draws(self.path, content + model, 1)[0]
            state = "failed" if body.get("failure") else "done"
            rows.append(
                Call(self.path, content, draw, kind, state, self.role_name, problem, model, parent or None, body=body)  # type: ignore[arg-type]
            )
        known = self.shared.journal.find([call.key for call in rows], failed=True)
        self.shared.journal.append([call for call in rows if call.key not in known or (known[call.key].state, call.state) == ("failed", "done")])

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs | None]:
        """Log probabilities of given continuations, token by token, by the model's own softmax at temperature 1; see `score_each`."""
        return (await self.score_each([(request, continuations)]))[0]

    async def score_each(self, asks: Sequence[tuple[Request, Sequence[Prefix]]]) -> list[list[TokenLogprobs | None]]:
        """Score continuations of each of several prompts in one go; None where the budget did not reach.

        A continuation costs its tokens as prompt tokens, and the prompt: with each, or once where the model's `scores` says so.

        Raises:
            CapabilityError: the model cannot score; the message names a backend that can.
            ModelError: it could not be served.
        """
        return await calls.score_each(self, asks)

    async def embed(self, texts: Sequence[str]) -> list[Embedding | None]:
        """The vectors of texts; None where the budget did not reach. A text costs its tokens as prompt tokens.

        Raises:
            CapabilityError: the model has no embeddings; the message names a backend that has.
            ModelError: it could not be served.
        """
        return await calls.embed(self, texts)

    async def execute(self, jobs: Sequence[Job]) -> list[Outcome | None]:
        """Run code in the sandbox, metered in CPU seconds; None where the budget did not reach.

        Raises:
            CapabilityError: there is no sandbox.
        """
        if self.shared.sandbox is None:
            raise CapabilityError("this strategy runs code and no sandbox was given; pass sandbox=... to the session")
        return await calls.execute(self, self.shared.sandbox, jobs)

    def ticket(self, bound: Spend, shared: Spend, batch: Hashable, share: Spend = Spend()) -> Ticket:
        """A ticket of this session for the turnstile."""
        return Ticket(self.meter, bound, shared, share, self.hold, self.judging, batch)

    async def branches(self, work: Callable[[Session, T], Awaitable[R]], items: Sequence[T]) -> list[R]:
        """Run work(session, item) for every item at once, each at its own place (index), and return the results in order.

        Under a cap the branches are admitted in rounds, in order of place, so that who gets the budget does not depend on timing.
        A branch must not wait for another one. The first failure cancels the others and is raised.
        """
        if not items:
            return []
        results: dict[int, R] = {}
        turnstile = self.shared.turnstile
        running = len(items)

        async def one(position: int) -> None:
            nonlocal running
            branch = self.at(position)
            try:
                results[position] = await work(branch, items[position])
            finally:
                if not branch.judging:
                    turnstile.release(branch.hold)
                running -= 1
                if running:  # the last one's turn goes back to the caller, so that branches elsewhere go on waiting for it
                    turnstile.branch(-1)

        turnstile.branch(len(items) - 1)
        await together(partial(one, position) for position in range(len(items)))
        return [results[position] for position in range(len(items))]


async def _asked(work: Awaitable[Sequence[J]], who: str, kind: type[J], given: str, count: int) -> Sequence[J]:
    # what a verifier or comparer returned; it may be anybody's, so nothing is taken for granted
    try:
        found = await work
    except (OutthinkError, ExceptionGroup):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{PurePath(last.filename).name}, line {last.lineno}"
        raise VerifierError(f"{who} failed in {where}: {type(error).__name__}: {error}; mend it and run the same again") from error
    what = kind.__name__.lower()
    if not isinstance(found, Sequence):
        raise VerifierError(f"{who} returned a {type(found).__name__} where a list of {what}s is expected")
    if len(found) != count:
        raise VerifierError(f"{who} returned {len(found)} {what}s for {count} {given}; it must return one each")
    strange = next((one for one in found if not isinstance(one, kind)), None)
    if strange is not None:
        raise VerifierError(f"{who} returned {strange!r} where a {kind.__name__} is expected; write {kind.__name__}({strange!r})")
    return found

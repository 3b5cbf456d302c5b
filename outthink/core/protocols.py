"""The seams: everything that outthink calls but does not contain. `core` imports no implementation of these."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from outthink.core.completion import Chunk, Embedding, TokenLogprobs
from outthink.core.problem import Problem
from outthink.core.request import Draw, Prefix, Request, Sampling
from outthink.core.solution import Candidate, Judgement, Preference, Solution
from outthink.core.spend import Price, Spend

if TYPE_CHECKING:
    from outthink.core.session import Session

Scores = Literal["no", "each", "once"]


@runtime_checkable
class Model(Protocol):
    """Where tokens come from.

    Attributes:
        name: identity of the weights, such as `smollm2-135m-instruct`; part of every call's key.
        engine: what runs them, such as `llama.cpp`; part of every call's key.
        price: what tokens cost.
        shares_prompt: whether n samples of one request are billed one prompt (n-sampling, a shared prefill).
        exact_prompt: whether `prompt_bound` is the exact number, by the model's own tokenizer and template.
        scores: whether it is known that `score` works, and what it bills: `no`, `each` (the prompt with every continuation), `once`
            (one prompt for all continuations of a call).
    """

    name: str

    @property
    def engine(self) -> str: ...

    @property
    def price(self) -> Price: ...

    @property
    def shares_prompt(self) -> bool: ...

    @property
    def exact_prompt(self) -> bool: ...

    @property
    def scores(self) -> Scores: ...

    def refuses(self, request: Request) -> str | None:
        """Why this model cannot serve the request, and what can be done; None if it can. Asked before the first token."""
        ...

    def prompt_bound(self, request: Request) -> int:
        """An upper bound of the request's prompt tokens, cheap to compute: budgets reserve it."""
        ...

    def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        """Serve many draws at once. Every draw ends with one chunk whose `done` is set; closing the generator stops what is in flight.

        Raises:
            ModelError: when nothing can be served (unreachable, refused credentials). A single draw that fails ends in a `Failure`.
        """
        ...

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Teacher-forced log probabilities of continuations of the request's prompt, at temperature 1 whatever its sampling.

        Raises:
            CapabilityError: it cannot score; names a backend that can.
            ModelError: it could not be served.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """One vector for each text, and the tokens that it was.

        Raises:
            CapabilityError: it has no embeddings; names a backend that has.
            ModelError: it could not be served.
        """
        ...

    async def aclose(self) -> None:
        """Free connections, threads and memory. May be called twice."""
        ...


@runtime_checkable
class Verifier(Protocol):
    """Judges candidates. Range and meaning of the score stand in the class's docstring and in `score_range`."""

    score_range: ClassVar[tuple[float, float]]

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """An upper bound of what judging ONE candidate costs, sampled with `sampling`; `Spend()` where it costs nothing."""
        ...

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """One judgement for each candidate, in order. Strategies call it through `Session.judge`, which checks and records."""
        ...


@runtime_checkable
class Comparer(Protocol):
    """Compares pairs of candidates."""

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """An upper bound of what comparing ONE pair costs, of candidates sampled with `sampling`; `Spend()` where it costs nothing."""
        ...

    async def compare(self, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Preference]:
        """P(first beats second) for each pair; an implementation asks in both orders to cancel position bias."""
        ...


@runtime_checkable
class Strategy(Protocol):
    """How compute is spent on one problem: a frozen dataclass whose fields are its knobs."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Solve one problem. All cost goes through the session."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """Code to run in a sandbox: files to write, the command, its input, and its limits."""

    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    stdin: str = ""
    cpu_seconds: float = 10.0
    memory_bytes: int = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job did. `failure` is set where the sandbox itself could not run it, which says nothing about the code."""

    exit_code: int | None
    stdout: str = ""
    stderr: str = ""
    cpu_seconds: float = 0.0
    timed_out: bool = False
    failure: str | None = None

    @property
    def passed(self) -> bool:
        """Whether it ran to its end and returned 0."""
        return self.exit_code == 0 and not self.timed_out


@runtime_checkable
class Sandbox(Protocol):
    """Runs untrusted code."""

    name: str

    async def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run the jobs, each isolated, and return their outcomes in order."""
        ...


State = TypeVar("State")
Action = TypeVar("Action")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A node that a search wants expanded."""

    node: int
    depth: int


@dataclass(frozen=True, slots=True)
class Child:
    """One way on from a leaf: prior probability, key for transpositions, whether it ends, and its value if already known."""

    key: Hashable
    prior: float = 1.0
    terminal: bool = False
    value: float | None = None


@runtime_checkable
class Search(Protocol):
    """A synchronous ask/tell state machine: it never calls a model, so it batches, checkpoints and tests without one."""

    def ask(self, n: int) -> list[Leaf]:
        """Up to n leaves to expand next; fewer or none when the search is finished."""
        ...

    def tell(self, leaf: Leaf, children: Sequence[Child], value: float | None) -> None:
        """Report an expansion: the children in order, and the leaf's own value where it was computed."""
        ...


class Space(Protocol[State, Action]):
    """What a search walks: text steps, game moves, plans, program edits."""

    def root(self) -> State:
        """The first state."""
        ...

    def key(self, state: State) -> Hashable:
        """Equal for states that are the same (cycles, transpositions)."""
        ...

    def terminal(self, state: State) -> bool:
        """Whether the state is final."""
        ...

    async def expand(self, states: Sequence[State], k: int, session: Session) -> list[list[tuple[Action, float]]]:
        """Up to k actions with priors for each state."""
        ...

    async def step(self, state: State, action: Action, session: Session) -> State:
        """The state after the action; pure, or reset by replay."""
        ...

    async def value(self, states: Sequence[State], session: Session) -> list[float | None]:
        """A value for each state; None where it could not be judged."""
        ...

"""[93] Time matters: seconds of a training step from the bytes that it moves, tokens in a budget of seconds, and the shape to train in it.

Counted for one training step of a decoder of `depth` layers, width d, feed-forward width f, h heads, context s, b sequences a batch, a
vocabulary of V; T = b s tokens; every number has `bytes_each` bytes. A kernel reads its inputs and writes its output once:

    weights      W = depth (4 d^2 + 2 d f) + 2 V d                        read forward, read backward, gradient written: 3 W
    optimiser    Adam reads weight, gradient and two moments, writes three of them: 7 W
    activations  forward, a layer: T (c_d d + c_f f) + c_s b h s^2
                   c_d = 22   two normalisations (2 each), q k v (1 in, 3 out), attention (3 in, 1 out), out (1 in, 1 out),
                              two sums (2 in, 1 out each), up (1 in), down (1 out); see `ACTIVATIONS`
                   c_f = 4    up (1 out), activation (1 in, 1 out), down (1 in)
                   c_s = 4    scores (out), softmax (in, out), weighted values (in); 0 where attention is one kernel
                 and T (2 d + 3 V) for embedding, logits and their softmax; the backward pass moves twice as much as the forward
    M            = bytes_each (10 W + 3 activations)

    FLOPs C      = 6 T (depth (4 d^2 + 2 d f) + V d) + 12 depth T s d

    seconds = c_0 + c_1 M        least squares;   tokens(budget) = T budget / seconds;   loss(shape, budget) = law(parameters, tokens)

The count is this package's own: the paper's abstract and public summaries name memory copies without the formula. Cost: closed forms.
Identity for tests: doubling the batch doubles C, and adds the activations' bytes once more but none for weights or optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.stats._arrays import FloatArray

Proxy = Literal["bytes", "flops"]

# numbers of width d that a layer's forward pass reads or writes, a token
ACTIVATIONS = {"normalisations": 4, "q k v": 4, "attention": 4, "out": 2, "sums": 6, "up": 1, "down": 1}
_FEED_FORWARD = 4
_SCORES = 4
_OPTIMISER = 7


@dataclass(frozen=True)
class TransformerShape:
    """A decoder and its batch.

    Args:
        depth: layers.
        width: d.
        feed_forward: f.
        heads: h.
        context: s, tokens.
        batch: sequences a step.
        vocabulary: V.
        bytes_each: of a number: 4 for float32, 2 for bfloat16.
        fused_attention: whether the s x s scores stay inside one kernel.
    """

    depth: int
    width: int
    feed_forward: int
    heads: int
    context: int
    batch: int
    vocabulary: int
    bytes_each: int = 4
    fused_attention: bool = False

    def __post_init__(self) -> None:
        for name in ("depth", "width", "feed_forward", "heads", "context", "batch", "vocabulary", "bytes_each"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} of a transformer must be at least 1, got {getattr(self, name)}")

    @property
    def tokens(self) -> float:
        """Of a step."""
        return float(self.batch * self.context)

    @property
    def layer_weights(self) -> float:
        """In all layers, without the vocabulary's two tables."""
        return float(self.depth * (4 * self.width**2 + 2 * self.width * self.feed_forward))

    @property
    def parameters(self) -> float:
        """Weights of layers, embedding and output; biases and normalisations are left out."""
        return self.layer_weights + 2.0 * self.vocabulary * self.width

    @property
    def flops(self) -> float:
        """Of a training step, forward and backward."""
        return 6.0 * self.tokens * (self.layer_weights + self.vocabulary * self.width) + 12.0 * self.depth * self.tokens * self.context * self.width

    @property
    def bytes_moved(self) -> float:
        """In a training step, read and written."""
        layer = self.tokens * (sum(ACTIVATIONS.values()) * self.width + _FEED_FORWARD * self.feed_forward)
        if not self.fused_attention:
            layer += _SCORES * self.batch * self.heads * float(self.context) ** 2
        activations = self.depth * layer + self.tokens * (2 * self.width + 3 * self.vocabulary)
        return self.bytes_each * ((3 + _OPTIMISER) * self.parameters + 3.0 * activations)

    def of(self, proxy: Proxy) -> float:
        """`bytes_moved` or `flops`."""
        return self.bytes_moved if proxy == "bytes" else self.flops


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step as a line in a proxy.

    Args:
        fixed: c_0, seconds.
        rate: c_1, seconds a byte or a FLOP.
        r2: of the shapes that it was fitted on.
        left_out: (shapes,) relative error of each shape when the line is fitted on the others.
        proxy: what it reads.
    """

    fixed: float
    rate: float
    r2: float
    left_out: FloatArray
    proxy: Proxy

    def seconds(self, shape: TransformerShape) -> float:
        """Of one step of a shape.

        Raises:
            UsageError: the line gives no positive time: the shape is far from those it was fitted on.
        """
        found = self.fixed + self.rate * shape.of(self.proxy)
        if found <= 0.0:
            raise UsageError(f"the time model gives {found:.3g} s for {shape}; it is outside the shapes it was fitted on")
        return found

    def tokens_within(self, shape: TransformerShape, budget: float) -> float:
        """Tokens that a training of `budget` seconds sees, in whole steps."""
        if not budget >= 0.0:
            raise UsageError(f"a budget of seconds must be 0 or more, got {budget}")
        return float(np.floor(budget / self.seconds(shape))) * shape.tokens


def fit_step_time(amounts: ArrayLike, seconds: ArrayLike, proxy: Proxy) -> StepTime:
    """Fit seconds = c_0 + c_1 amount by least squares.

    Args:
        amounts: (shapes,) bytes or FLOPs a step.
        seconds: (shapes,) measured, positive.
        proxy: which of the two the amounts are.

    Raises:
        UsageError: fewer than four shapes, all of one amount, or numbers that are not positive.
    """
    x, y = np.asarray(amounts, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size < 4 or np.unique(x).size < 2:
        raise UsageError(f"need two vectors of one length with four or more shapes that differ, got {x.shape} and {y.shape}")
    if not bool(np.all(np.isfinite(x) & np.isfinite(y) & (x > 0.0) & (y > 0.0))):
        raise UsageError("amounts and seconds must be positive finite numbers")
    unit = float(x.mean())  # bytes and FLOPs are large: the line is solved in units of their mean
    design = np.stack([np.ones_like(x), x / unit], axis=1)
    solve = np.linalg.pinv(design)
    fixed, rate = (float(part) for part in solve @ y)
    residuals = y - design @ np.array([fixed, rate])
    leverage = np.einsum("ij,ji->i", design, solve)
    total = float(((y - y.mean()) ** 2).sum())
    r2 = 1.0 - float(residuals @ residuals) / total if total > 0.0 else 0.0
    return StepTime(fixed, rate / unit, r2, np.asarray(residuals / (1.0 - leverage) / y), proxy)


@dataclass(frozen=True)
class Planned:
    """The shape with the least predicted loss in a budget of seconds."""

    shape: TransformerShape
    tokens: float
    loss: float


def best_shape(shapes: Sequence[TransformerShape], time: StepTime, law: Callable[[FloatArray, FloatArray], FloatArray], budget: float) -> Planned:
    """Choose among shapes by law(parameters, tokens within the budget).

    Args:
        shapes: candidates.
        time: of a step.
        law: called on (shapes,) parameters and (shapes,) tokens, such as a fitted Chinchilla law; nats per token.
        budget: seconds.

    Raises:
        UsageError: no shape finishes a step within the budget.
    """
    reached = [(shape, tokens) for shape in shapes if (tokens := time.tokens_within(shape, budget)) > 0.0]
    if not reached:
        raise UsageError(f"none of {len(shapes)} shapes finishes one step in {budget} s")
    losses = law(np.array([shape.parameters for shape, _ in reached]), np.array([tokens for _, tokens in reached]))
    best = int(np.argmin(losses))
    return Planned(*reached[best], float(losses[best]))

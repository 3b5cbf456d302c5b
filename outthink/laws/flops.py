"""What a training run costs in floating-point operations, by the accountings that published laws use.

The accounting moves a law's exponents more than the fit does (Gemstones' compute exponent: .538 with 6 N D, .499 with their exact count), so
everything here says which one it is. All are per sequence of `sequence` tokens, forwards and backwards, as float64: in int64 they overflow.

    six_nd         6 N per token, N all parameters
    six_nd_body    6 N per token, N without embeddings (Kaplan et al.)
    with_attention 6 N + 6 layers sequence width per token: matrix products and the causal half of attention scores ([111])
    deepmind       three times the forward count of Hoffmann et al., appendix F, embedding included ([69], [111])
    gemstones      forward and backward of grouped-query attention and a gated feed-forward, operation by operation ([132])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError, nearest
from outthink.stats._arrays import FloatArray

Accounting = Literal["six_nd", "six_nd_body", "with_attention", "deepmind", "gemstones"]


@dataclass(frozen=True)
class Transformer:
    """The shape of a decoder; every field a number or an array of many shapes.

    Args:
        width: of the residual stream.
        depth: layers.
        heads: query heads a layer.
        head_size: numbers a head.
        key_value_heads: key heads a layer, as many as value heads; equal to `heads` without grouping.
        feed_forward: inner width of the feed-forward.
        vocabulary: tokens it knows.
        sequence: tokens a sequence.
        gated: whether the feed-forward has a third matrix (SwiGLU, GEGLU).
    """

    width: ArrayLike
    depth: ArrayLike
    heads: ArrayLike
    head_size: ArrayLike
    key_value_heads: ArrayLike
    feed_forward: ArrayLike
    vocabulary: ArrayLike
    sequence: ArrayLike
    gated: bool = True

    def parameters(self, *, embedding: bool = True) -> FloatArray:
        """Weights of the matrix products; the embedding once, as if tied. Norms and biases are not counted."""
        return _array(self.vocabulary) * _array(self.width) * embedding + _array(self.depth) * self._layer()

    def _layer(self) -> FloatArray:
        attention = 2.0 * _array(self.width) * _array(self.head_size) * (_array(self.heads) + _array(self.key_value_heads))
        return attention + (3.0 if self.gated else 2.0) * _array(self.width) * _array(self.feed_forward)


def _array(value: ArrayLike) -> FloatArray:
    return np.asarray(value, dtype=np.float64)


def training_flops(shape: Transformer, accounting: Accounting) -> FloatArray:
    """Operations of one training step on one sequence.

    Raises:
        UsageError: there is no such accounting.
    """
    if accounting not in _ACCOUNTINGS:
        raise UsageError(f"there is no accounting {accounting!r}.{nearest(accounting, list(_ACCOUNTINGS))} Known: {', '.join(_ACCOUNTINGS)}.")
    return _ACCOUNTINGS[accounting](shape)


def _six_nd(shape: Transformer) -> FloatArray:
    return 6.0 * shape.parameters() * _array(shape.sequence)


def _six_nd_body(shape: Transformer) -> FloatArray:
    return 6.0 * shape.parameters(embedding=False) * _array(shape.sequence)


def _with_attention(shape: Transformer) -> FloatArray:
    sequence = _array(shape.sequence)
    return 6.0 * (shape.parameters() + _array(shape.depth) * _array(shape.width) * sequence) * sequence


def _deepmind(shape: Transformer) -> FloatArray:
    width, sequence, vocabulary = _array(shape.width), _array(shape.sequence), _array(shape.vocabulary)
    heads, inner = _array(shape.heads), _array(shape.heads) * _array(shape.head_size)
    projections = 2.0 * 3.0 * sequence * width * inner
    scores_and_sum = 2.0 * 2.0 * sequence**2 * inner
    attention = projections + scores_and_sum + 3.0 * heads * sequence**2 + 2.0 * sequence * inner * width
    feed_forward = 2.0 * sequence * (3.0 if shape.gated else 2.0) * width * _array(shape.feed_forward)
    return 3.0 * (2.0 * (2.0 * sequence * vocabulary * width) + _array(shape.depth) * (attention + feed_forward))


def _gemstones(shape: Transformer) -> FloatArray:
    # embedding look-ups are free; scores are halved by the causal mask; the backward of attention recomputes scores (flash attention)
    width, depth, sequence = _array(shape.width), _array(shape.depth), _array(shape.sequence)
    heads, pairs, size = _array(shape.heads), _array(shape.key_value_heads), _array(shape.head_size)
    inner = _array(shape.feed_forward)
    projections = 2.0 * sequence * (heads + 2.0 * pairs) * width * size + 3.5 * sequence * (heads + pairs) * size  # with rotary positions
    scores = sequence**2 * size * heads + 3.0 * sequence**2 * heads + 2.0 * sequence**2 * size * heads
    output = 2.0 * sequence * width * size * heads
    block = (6.0 if shape.gated else 4.0) * sequence * width * inner + 10.0 * sequence * inner + 2.0 * width * sequence + 14.0 * width * sequence
    last = 7.0 * width * sequence + 2.0 * sequence * width * _array(shape.vocabulary)
    forward = depth * (projections + scores + output + block) + last
    backward = depth * (2.0 * projections + 2.5 * scores + 2.0 * output) + 2.0 * (depth * block + last)
    return forward + backward


_ACCOUNTINGS: dict[str, Callable[[Transformer], FloatArray]] = {
    "six_nd": _six_nd, "six_nd_body": _six_nd_body, "with_attention": _with_attention, "deepmind": _deepmind, "gemstones": _gemstones,
}  # fmt: skip

"""The tiny networks: a character transformer (causal or masked) and multilayer perceptrons. Needs torch."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from outthink.papers.tiny.text import SYMBOLS


@dataclass(frozen=True)
class Shape:
    """Of a transformer.

    Args:
        width, depth, heads: heads must divide the width; the feed-forward layer is four times as wide.
        context: characters that it sees.
        causal: whether a place sees only what stands before it.
        symbols: size of its vocabulary.
    """

    width: int
    depth: int
    heads: int
    context: int
    causal: bool = True
    symbols: int = SYMBOLS


class Layer(nn.Module):
    """Attention and feed-forward, each normalised before and added after."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.causal = shape.heads, shape.causal
        self.before_attention = nn.LayerNorm(shape.width)
        self.before_feed_forward = nn.LayerNorm(shape.width)
        self.queries_keys_values = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.up = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.down = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, context, width) -> the same."""
        batch, context, width = hidden.shape
        packed = self.queries_keys_values(self.before_attention(hidden)).view(batch, context, 3, self.heads, width // self.heads)
        queries, keys, values = packed.permute(2, 0, 3, 1, 4)  # each (batch, heads, context, width / heads)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        hidden = hidden + self.out(mixed.transpose(1, 2).reshape(batch, context, width))
        raised: Tensor = hidden + self.down(functional.gelu(self.up(self.before_feed_forward(hidden))))
        return raised


class Transformer(nn.Module):
    """Symbols to logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.symbols = nn.Embedding(shape.symbols, shape.width)
        self.places = nn.Embedding(shape.context, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.depth))
        self.last = nn.LayerNorm(shape.width)
        self.logits = nn.Linear(shape.width, shape.symbols, bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02 if parameter.shape[0] in (shape.symbols, shape.context) else shape.width**-0.5)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            for end in (layer.out, layer.down):
                nn.init.normal_(end.weight, std=0.5 / math.sqrt(end.in_features * shape.depth))

    def features(self, symbols: Tensor) -> Tensor:
        """(batch, context) -> (batch, context, width)."""
        hidden = self.symbols(symbols) + self.places.weight[: symbols.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden)
        normalised: Tensor = self.last(hidden)
        return normalised

    def forward(self, symbols: Tensor) -> Tensor:
        """(batch, context) -> (batch, context, symbols)."""
        logits: Tensor = self.logits(self.features(symbols))
        return logits


class CharacterPerceptron(nn.Module):
    """The next character from those before it: embeddings side by side, then hidden layers of one width."""

    def __init__(self, width: int, *, context: int, embedding: int, depth: int = 2, symbols: int = SYMBOLS) -> None:
        super().__init__()
        self.context = context
        self.symbols = nn.Embedding(symbols, embedding)
        sizes = [context * embedding, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in itertools.pairwise(sizes))
        self.logits = nn.Linear(width, symbols)
        for layer in self.hidden:
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=math.sqrt(2.0 / layer.in_features))

    def forward(self, symbols: Tensor) -> Tensor:
        """(batch, context) -> (batch, symbols)."""
        values = self.symbols(symbols).flatten(1)
        for layer in self.hidden:
            values = functional.relu(layer(values))
        logits: Tensor = self.logits(values)
        return logits


class Perceptron(nn.Module):
    """Vectors to classes through one hidden layer."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, classes))

    def forward(self, values: Tensor) -> Tensor:
        """(batch, inputs) -> (batch, classes)."""
        logits: Tensor = self.layers(values)
        return logits


def count(network: nn.Module) -> int:
    """Parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def freeze(layers: list[nn.Linear], share: float, seed: int) -> int:
    """Freeze a random share of each layer's weights where they are drawn: their gradient is set to 0. Returns how many were frozen.

    AdamW without weight decay leaves a weight alone whose gradient was always 0, so a frozen weight keeps its first value bit for bit.
    """
    generator = torch.Generator().manual_seed(seed)
    frozen = 0
    for layer in layers:
        learns = torch.rand(layer.weight.shape, generator=generator) >= share
        frozen += int((~learns).sum())
        layer.weight.register_hook(_masked(learns))  # type: ignore[no-untyped-call]
    return frozen


class _masked:
    """A gradient hook that keeps only what learns. A class, so that a network with hooks can be copied."""

    def __init__(self, learns: Tensor) -> None:
        self.learns = learns

    def __call__(self, gradient: Tensor) -> Tensor:
        return gradient * self.learns

"""[44] Fast compound scaling of convolutional networks: which of depth, width and resolution to grow, and what that does to activations.

A network that is s times as costly has depth x s^e_d, width x s^(e_w / 2), resolution x s^(e_r / 2), e_d + e_w + e_r = 1. Operations grow by s
whatever the split; parameters by s^(e_d + e_w); activations, on which run time depends, by s^(e_d + e_w / 2 + e_r) = s^(1 - e_w / 2). The fast
rule puts .8 on width (1 : 8 : 1): activations then grow as s^.6, where uniform scaling has s^.833.

Counts follow the authors' conventions: multiply-adds, not operations; activations are the outputs of convolutions, of the stem's
pooling and of the last linear layer, not of every layer; a batch normalisation has two parameters a channel and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from outthink.core.errors import UsageError


@dataclass(frozen=True)
class Scaling:
    """How to grow a network.

    Args:
        depth, width, resolution: factors of layers, channels, and pixels a side.
    """

    depth: float
    width: float
    resolution: float


def compound(factor: float, *, depth: float = 1.0, width: float = 8.0, resolution: float = 1.0) -> Scaling:
    """Factors of depth, width and resolution for a network that costs `factor` times as much.

    Args:
        factor: s, above 0.
        depth, width, resolution: weights, 0 or more and not all 0; the default is the fast rule, 1, 1, 1 the uniform one.

    Raises:
        UsageError: a number is out of range.
    """
    total = depth + width + resolution
    if not factor > 0 or min(depth, width, resolution) < 0 or not total > 0:
        raise UsageError(f"a factor above 0 and weights of 0 or more are needed, got {factor} and {depth} : {width} : {resolution}")
    return Scaling(factor ** (depth / total), factor ** (width / total / 2), factor ** (resolution / total / 2))


def activation_exponent(*, depth: float = 1.0, width: float = 8.0, resolution: float = 1.0) -> float:
    """Power of s with which activations grow: 1 - e_w / 2."""
    return 1.0 - width / (depth + width + resolution) / 2.0


def rounded(layers: int, channels: int, side: int, scaling: Scaling) -> tuple[int, int, int]:
    """A scaled network that can be built: whole layers (at least 1), channels by 8, pixels a side by 4.

    Args:
        layers, channels, side: of the network that is scaled.
        scaling: its factors.
    """
    return max(1, round(layers * scaling.depth)), _multiple(channels * scaling.width, 8), _multiple(side * scaling.resolution, 4)


def group_width(width: float) -> int:
    """A group width that can be built: 1, 2, 4 or a multiple of 8."""
    return min((1, 2, 4), key=lambda small: abs(small - width)) if width < 6 else _multiple(width, 8)


def _multiple(value: float, of: int) -> int:
    return max(of, round(value / of) * of)


@dataclass(frozen=True)
class Complexity:
    """What a network costs an image; values add.

    Args:
        multiply_adds: of convolutions and linear layers.
        parameters: all trained numbers.
        activations: outputs of convolutions, pooling and linear layers.
        side: pixels a side of what comes out.
    """

    multiply_adds: int
    parameters: int
    activations: int
    side: int

    def then(self, other: Complexity) -> Complexity:
        """This followed by another part."""
        return Complexity(
            self.multiply_adds + other.multiply_adds, self.parameters + other.parameters, self.activations + other.activations, other.side
        )


def convolution(side: int, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> Complexity:
    """A convolution without bias, padded to keep the side at stride 1, and its batch normalisation.

    Args:
        side: pixels a side of its input.
        inputs, outputs: channels.
        kernel: pixels a side, odd.
        stride, groups: as usual.
    """
    after = (side - 1) // stride + 1
    weights = kernel * kernel * inputs * outputs // groups
    return Complexity(weights * after * after, weights + 2 * outputs, outputs * after * after, after)


def bottleneck_network(depths: tuple[int, ...], *, side: int = 224, base: int = 64, classes: int = 1000) -> Complexity:
    """A residual network of bottleneck blocks: ResNet-50 has depths (3, 4, 6, 3).

    Args:
        depths: blocks of each stage; the first of a stage halves the side, but in the first stage.
        side: pixels a side of the image.
        base: inner channels of the first stage; each later one doubles them, and a block puts out four times as many.
        classes: of the linear layer at the end.
    """
    whole = convolution(side, 3, base, 7, stride=2)
    side, channels = (whole.side - 1) // 2 + 1, base
    whole = whole.then(Complexity(0, 0, channels * side * side, side))  # the stem's pooling
    for stage, blocks in enumerate(depths):
        inner = base * 2**stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            if not block:
                whole = whole.then(convolution(side, channels, 4 * inner, 1, stride=stride))
            first = convolution(side, channels, inner, 1)
            second = convolution(first.side, inner, inner, 3, stride=stride)
            whole = whole.then(first).then(second).then(convolution(second.side, inner, 4 * inner, 1))
            side, channels = whole.side, 4 * inner
    return whole.then(Complexity(channels * classes + classes, (channels + 1) * classes, classes, 1))

"""Batch normalisation whose statistics are replaceable: one layer, one strategy for where mean and variance come from.

    y = weight (x - mean) / sqrt(variance + eps) + bias,     mean, variance = statistics(x)

Source statistics go through torch's own kernel, so that a network with them equals the untouched one bit for bit, and so do all that are constants,
shared by the batch or of each sample; batch statistics equal the layer in train mode. Gradients flow through statistics of the batch: that
coupling is what TENT and the attack of [46] differentiate. `F.batch_norm` refuses statistics that require a gradient: those take the formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
OTHER_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


class Statistics(Protocol):
    """Where an `AdaptiveNorm` takes its moments from. May be a module with buffers of its own (running estimates, components)."""

    def __call__(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance for (batch, channels, ...): (channels,), or (batch, channels) where every sample has its own."""
        ...


class AdaptiveNorm(nn.Module):
    """A batch normalisation layer with replaceable statistics. Shares weight and bias with the layer it stands for.

    Args:
        layer: what it replaces; must hold running statistics.
        statistics: where moments come from.
    """

    source_mean: Tensor
    source_variance: Tensor

    def __init__(self, layer: nn.Module, statistics: Statistics) -> None:
        super().__init__()
        assert isinstance(layer, BATCH_NORMS)
        if layer.running_mean is None or layer.running_var is None:
            raise ValueError(f"{type(layer).__name__} keeps no running statistics, so there is no source to blend with; use tent or t3a")
        self.weight, self.bias, self.eps = layer.weight, layer.bias, layer.eps
        self.register_buffer("source_mean", layer.running_mean.clone())
        self.register_buffer("source_variance", layer.running_var.clone())
        self.statistics = statistics

    def forward(self, batch: Tensor) -> Tensor:
        """(batch, channels, ...) -> the same shape."""
        if isinstance(self.statistics, SourceStatistics):
            return F.batch_norm(batch, self.source_mean, self.source_variance, self.weight, self.bias, False, 0.0, self.eps)
        if isinstance(self.statistics, BatchStatistics):
            _refuse_lone_vector(batch)
            return F.batch_norm(batch, None, None, self.weight, self.bias, True, 0.0, self.eps)
        mean, variance = self.statistics(self, batch)
        if not mean.requires_grad and not variance.requires_grad:  # constants: torch's own kernel takes them
            if mean.ndim == 1:
                return F.batch_norm(batch, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
            weight, bias = (None if value is None else value.repeat(len(batch)) for value in (self.weight, self.bias))
            every = F.batch_norm(_one_sample(batch), mean.flatten(), variance.flatten(), weight, bias, False, 0.0, self.eps)
            return every.view(batch.shape)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        return torch.addcmul(_spread(shift, batch.ndim), batch, _spread(scale, batch.ndim))


def _spread(values: Tensor, dimensions: int) -> Tensor:
    # (channels,) or (batch, channels) -> broadcast against (batch, channels, ...)
    head = values if values.ndim == 2 else values[None]
    return head.reshape(*head.shape, *(1 for _ in range(dimensions - 2)))


def _one_sample(batch: Tensor) -> Tensor:
    # every channel of every sample as a channel of one sample: (batch, channels, ...) -> (1, batch x channels, ...)
    return batch.reshape(1, -1, *batch.shape[2:])


class _Moments(torch.autograd.Function):
    # mean and biased variance of each channel by the kernel of batch normalisation: on a processor a quarter of the time of `torch.var_mean`

    @staticmethod
    def forward(context: FunctionCtx, batch: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(batch, None, None, 0.0)
        context.save_for_backward(batch, mean)
        return mean, variance

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        batch, mean = context.saved_tensors
        of_mean, of_variance = (gradient * (batch.shape[1] / batch.numel()) for gradient in gradients)
        shift, scale = _spread(of_mean - 2 * of_variance * mean, batch.ndim), _spread(2 * of_variance, batch.ndim)
        return torch.addcmul(shift, batch, scale)


def _channel_moments(batch: Tensor) -> tuple[Tensor, Tensor]:
    # (batch, channels, ...) -> mean and biased variance, (channels,) twice
    if batch.device.type == "cpu":
        mean, variance = _Moments.apply(batch)  # type: ignore[no-untyped-call]
        return mean, variance
    variance, mean = torch.var_mean(batch, [axis for axis in range(batch.ndim) if axis != 1], correction=0)
    return mean, variance


def moments(batch: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel over the whole batch: (batch, channels, ...) -> (channels,) twice.

    Raises:
        ValueError: a channel has one value only, whose variance would be 0.
    """
    _refuse_lone_vector(batch)
    return _channel_moments(batch)


def _refuse_lone_vector(batch: Tensor) -> None:
    if batch.numel() == batch.shape[1]:
        raise ValueError("a batch of one vector has no variance; use a larger batch, or statistics that blend with the source (bn_adapt(alpha=0.1))")


def instance_moments(batch: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel of each sample: (batch, channels, space...) -> (batch, channels) twice.

    Raises:
        ValueError: there is no space to take them over.
    """
    if batch.ndim < 3:
        raise ValueError(f"statistics of one sample need maps, (batch, channels, height, width); got {tuple(batch.shape)}")
    mean, variance = _channel_moments(_one_sample(batch))
    return mean.view(batch.shape[:2]), variance.view(batch.shape[:2])


def unbiased(values: int) -> float:
    """What a biased variance of this many values, 2 or more, is multiplied by to be unbiased."""
    return values / (values - 1)


@dataclass(frozen=True)
class SourceStatistics:
    """Those of training."""

    def __call__(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(channels,) twice."""
        return norm.source_mean, norm.source_variance


@dataclass(frozen=True)
class BatchStatistics:
    """Those of the batch at hand: the layer in train mode, without running estimates."""

    def __call__(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(channels,) twice."""
        return moments(batch)


@dataclass(frozen=True)
class BlendStatistics:
    """(1 - a) source + a batch; a is fixed, or n / (n + prior) for a batch of n.

    Args:
        alpha: the share of the batch, in [0, 1].
        prior: how many samples the source counts for; then alpha is not used.
    """

    alpha: float = 0.1
    prior: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha}")
        if self.prior is not None and self.prior < 0:
            raise ValueError(f"prior must be 0 or more samples, got {self.prior}")

    def __call__(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(channels,) twice."""
        share = self.alpha if self.prior is None else len(batch) / (len(batch) + self.prior)
        if share == 0.0 or batch.numel() == batch.shape[1]:  # a lone vector has no variance to blend
            return norm.source_mean, norm.source_variance
        mean, variance = moments(batch)
        return torch.lerp(norm.source_mean, mean, share), torch.lerp(norm.source_variance, variance, share)


class RunningMoments(nn.Module):
    """Moments that start at the source's and move with batches while they are learning, and at no other time.

    Args:
        layer: whose running statistics they start from.
        share: weight of a new batch, in [0, 1].
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, layer: nn.Module, share: float) -> None:
        super().__init__()
        assert isinstance(layer, BATCH_NORMS)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        self.share, self.learning = share, True
        self.register_buffer("mean", layer.running_mean.clone())
        self.register_buffer("variance", layer.running_var.clone())


class RunningStatistics(RunningMoments):
    """[37] An exponential moving average that starts at the source and is updated with the batch before it normalises.

    Args:
        layer: whose statistics it starts from.
        share: weight of a new batch, in [0, 1].
    """

    def forward(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(channels,) twice; updates them first unless `learning` is off."""
        if not self.learning:
            return self.mean, self.variance
        mean, variance = moments(batch)
        mean, variance = torch.lerp(self.mean, mean, self.share), torch.lerp(self.variance, variance, self.share)
        self.mean, self.variance = mean.detach(), variance.detach()
        return mean, variance


class TrainStatistics(RunningMoments):
    """Those of a layer in training: while learning the batch's, which also move the running ones (unbiased); otherwise the running ones.

    Args:
        layer: whose running moments it starts from.
        share: of a batch in the running moments; torch calls it momentum.
    """

    def forward(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(channels,) twice."""
        values = batch.numel() // batch.shape[1]
        if not self.learning or values < 2:  # a lone vector has no variance
            return self.mean, self.variance
        mean, variance = moments(batch)
        self.mean = torch.lerp(self.mean, mean.detach(), self.share)
        self.variance = torch.lerp(self.variance, variance.detach() * unbiased(values), self.share)
        return mean, variance


class InstanceAware(RunningMoments):
    """[31 baseline] NOTE's instance-aware batch normalisation: a sample leaves the shared moments only as far as chance does not explain.

        mean = base + shrink(m_i - base, k sqrt((base variance + eps) / L)),   shrink(x, t) = sign(x) max(|x| - t, 0)
        variance = base variance + shrink(v_i - base variance, k (base variance + eps) sqrt(2 / (L - 1))), at least 0

    m_i, v_i are a sample's own moments over its L places. The base is the running moments; while learning it is those of the batch, through which
    gradients flow, and the running ones move towards them. All variances are unbiased, as in the official code.

    Args:
        layer: whose running moments it starts from.
        share: of a batch in the running moments, in [0, 1].
        strength: k, in standard errors, 0 or more.
    """

    def __init__(self, layer: nn.Module, share: float, strength: float) -> None:
        super().__init__(layer, share)
        self.strength = strength

    def forward(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels) twice, or (channels,) twice for vectors, which have no moments of their own."""
        base_mean, base_variance = self.mean, self.variance
        if self.learning and batch.numel() > batch.shape[1]:  # a lone vector has no variance
            base_mean, base_variance = moments(batch)
            base_variance = base_variance * unbiased(batch.numel() // batch.shape[1])
            self.mean = torch.lerp(self.mean, base_mean.detach(), self.share)
            self.variance = torch.lerp(self.variance, base_variance.detach(), self.share)
        places = batch[0, 0].numel()
        if places < 2:
            return base_mean, base_variance
        mean, variance = instance_moments(batch)
        variance = variance * unbiased(places)
        error = base_variance + norm.eps
        own_mean = _shrunk(mean - base_mean, self.strength * (error / places).sqrt())
        own_variance = _shrunk(variance - base_variance, self.strength * error * math.sqrt(2.0 / (places - 1)))
        return base_mean + own_mean, (base_variance + own_variance).clamp_min(0.0)


def _shrunk(values: Tensor, threshold: Tensor) -> Tensor:
    return values.sign() * (values.abs() - threshold).clamp_min(0.0)


@dataclass(frozen=True)
class RobustStatistics:
    """[46] Median and (1.4826 MAD)^2 of the batch in place of mean and variance: a few poisoned samples move them little."""

    def __call__(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(channels,) twice."""
        values = batch.transpose(0, 1).flatten(1)  # (channels, batch x space)
        centre = values.median(1).values
        spread = 1.4826 * (values - centre[:, None]).abs().median(1).values  # 1.4826 makes it a standard deviation for Gaussian data
        return centre, spread**2


class InstanceMixture(nn.Module):
    """[130] UnMix-TNS: K components around the source moments; every sample blends into those that its own style is near to.

    Start: mean_k = mean + sqrt(a K / (K - 1)) sd eps_k, variance_k = (1 - a) variance, so that the mixture's expected moments are the source's.
    Sample i: p_ik = softmax_k(cos(m_i, mean_k) / T), its moments those of the mixture of (1 - p) component + p own. Then the components move:
    mean_k += step mean_i p_ik (m_i - mean_k), step = 1 - (1 - momentum)^(n / largest_batch) for a batch of n. No gradient flows through p. With
    K = 1 there is nothing to spread: a is 0.

    Args:
        layer: whose statistics it starts from.
        components: K.
        generator: draws eps.
        spread: a in (0, 1).
        temperature: T.
        momentum: of a batch of `largest_batch` samples, in [0, 1].
        largest_batch: in samples.

    Raises:
        ValueError: one of them is out of its range.
    """

    means: Tensor
    variances: Tensor

    def __init__(
        self, layer: nn.Module, components: int, generator: torch.Generator, *, spread: float = 0.5, temperature: float = 0.07,
        momentum: float = 0.1, largest_batch: int = 64,
    ) -> None:  # fmt: skip
        super().__init__()
        assert isinstance(layer, BATCH_NORMS)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        if components < 1:
            raise ValueError(f"components must be 1 or more, got {components}")
        if not 0 <= spread < 1 or temperature <= 0 or not 0 <= momentum <= 1 or largest_batch < 1:
            raise ValueError(
                f"spread must be in [0, 1), temperature above 0, momentum in [0, 1] and largest_batch 1 or more, "
                f"got {spread}, {temperature}, {momentum}, {largest_batch}"
            )
        self.temperature, self.momentum, self.largest_batch = temperature, momentum, largest_batch
        draws = torch.randn((components, len(layer.running_mean)), generator=generator, dtype=layer.running_mean.dtype, device=generator.device)
        draws = draws.to(layer.running_mean.device)
        spread = spread if components > 1 else 0.0
        widen = math.sqrt(spread * components / max(1, components - 1))
        self.register_buffer("means", layer.running_mean + widen * layer.running_var.sqrt() * draws)  # (components, channels)
        self.register_buffer("variances", ((1.0 - spread) * layer.running_var).repeat(components, 1))

    def forward(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels) twice; then moves the components."""
        if batch.ndim < 3:  # vectors have no style of their own
            return norm.source_mean, norm.source_variance
        mean, variance = instance_moments(batch)
        nearness = F.cosine_similarity(mean.detach()[:, None], self.means[None], dim=2) / self.temperature
        share = nearness.softmax(1)[..., None]  # (batch, components, 1)
        means = torch.lerp(self.means[None], mean[:, None], share)  # (batch, components, channels)
        variances = torch.lerp(self.variances[None], variance[:, None], share)
        mixed = means.mean(1)
        of_all = variances.mean(1) + means.var(1, correction=0)
        with torch.no_grad():
            step = 1.0 - (1.0 - self.momentum) ** (len(batch) / self.largest_batch)
            self.means = self.means + step * (share * (mean[:, None] - self.means)).mean(0)
            self.variances = self.variances + step * (share * (variance[:, None] - self.variances)).mean(0)
        return mixed, of_all


def moving(network: nn.Module, on: bool) -> None:
    """Whether the running moments of a network's layers move with the batches that go through."""
    for module in network.modules():
        if isinstance(module, RunningMoments):
            module.learning = on


def replace_norms(model: nn.Module, make: Callable[[nn.Module, int, int], Statistics]) -> int:
    """Put an `AdaptiveNorm` in place of every batch normalisation layer.

    Args:
        model: changed in place.
        make: called with (layer, its position, how many there are), positions in the order of definition; returns its statistics.

    Returns:
        How many were replaced.

    Raises:
        ValueError: there is none.
    """
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, BATCH_NORMS)]
    if not layers or not layers[0][0]:
        raise ValueError(
            f"{type(model).__name__} has no batch normalisation layer inside it, so there are no batch statistics to adapt; "
            "tent adapts layer and group normalisation, t3a and lame need none"
        )
    for position, (name, layer) in enumerate(layers):
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, AdaptiveNorm(layer, make(layer, position, len(layers))))
    return len(layers)

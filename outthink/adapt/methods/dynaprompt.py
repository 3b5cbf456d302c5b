"""[120] DynaPrompt: a few prompts that are tuned as the stream goes, and for each sample only those that are surer and steadier than the first one.

    views x_0 (the sample), x_1 ... augmented;   p_i(x_v) the prediction with prompt i, prompt 0 the initial one
    H_i = mean_v entropy p_i(x_v);   D_i = max p_i(x_0) - mean_{v>0} max p_i(x_v)
    chosen {i: H_i < H_0 and D_i > D_0}; if none, a fresh prompt equal to the initial one, in a free slot or in that least recently chosen
    step     one AdamW step of the chosen, its state new for each sample, on the entropy of the mean of the `share` surest predictions over (i, v)

Predicts after the step with the mean over the chosen prompts; what they learnt stays for the next sample. The initial prompt is never tuned. With one
prompt that is always tuned and put back after each sample it is TPT (`select=False, keep=False, prompts=1`); not put back, online TPT. Sample by
sample: no prediction depends on the samples after it in its batch, only on the stream before it. This is the paper's definition; its code
(zzzx1224/DynaPrompt) takes D of logits (`difference="logit"`), always tunes a fresh prompt along, chooses views by their entropy averaged over the
prompts, and averages each prompt's own entropy. Cost: `views` forward passes of the image side a sample; the text side alone goes
backwards, counted as one a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from outthink.adapt.augment import Augmentation, default_views
from outthink.adapt.losses import entropy, entropy_of
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import train_only
from outthink.adapt.vision_text import VisionText, teach


class _DynaPrompt(State):
    first: Tensor
    offsets: Tensor

    def __init__(self, model: VisionText, generator: torch.Generator, knobs: DynaPrompt) -> None:
        train_only(model, [])
        super().__init__(model, generator)
        self.towers, self.knobs = model, knobs
        first = model.context()
        self.register_buffer("first", first.detach().clone())
        self.register_buffer("offsets", first.new_zeros((knobs.prompts, *first.shape)))
        self.used: list[int] = []  # slots in use, the most recently chosen last

    def preview(self, batch: Tensor) -> Tensor:
        """Each sample alone, with the initial prompt."""
        logits: Tensor = self.towers(batch)
        return logits

    def step(self, batch: Tensor) -> Tensor:
        return torch.cat([self._one(sample[None]) for sample in batch])

    def _one(self, sample: Tensor) -> Tensor:
        view = self.knobs.view or default_views(sample)
        others = sample.expand(self.knobs.views - 1, *sample.shape[1:])
        self.cost.forwards += self.knobs.views
        self.cost.backwards += 1
        with torch.no_grad():
            seen = self.towers.seen(torch.cat([sample, view(others, self.generator)]) if len(others) else sample)
        chosen = self._chosen(seen) if self.knobs.select else self._slots([0])
        offsets = nn.Parameter(self.offsets[chosen].clone())
        optimiser = torch.optim.AdamW([offsets], lr=self.knobs.lr)
        flat = self._logits(seen, offsets).flatten(0, 1)  # (chosen x views, classes)
        surest = entropy(flat.detach()).argsort(stable=True)[: max(1, round(self.knobs.share * len(flat)))]
        entropy_of(flat[surest].softmax(1).mean(0, keepdim=True)).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            logits = self._logits(seen[:1], offsets).mean(0)
            if self.knobs.keep:
                self.offsets[chosen] = offsets
        return logits

    def _logits(self, seen: Tensor, offsets: Tensor) -> Tensor:
        return self.towers.compare(seen, self.towers.said(self.first + offsets))

    @torch.no_grad()
    def _chosen(self, seen: Tensor) -> list[int]:
        every = torch.cat([torch.zeros_like(self.offsets[:1]), self.offsets[self.used]])  # the initial one first
        logits = self._logits(seen, every)
        doubt = entropy(logits.flatten(0, 1)).reshape(logits.shape[:2]).mean(1)
        top = (logits.softmax(2) if self.knobs.difference == "probability" else logits).amax(2)
        steady = top[:, 0] - top[:, 1:].mean(1) if top.shape[1] > 1 else top[:, 0]
        better = ((doubt < doubt[0]) & (steady > steady[0]))[1:]
        chosen = [slot for slot, good in zip(self.used, better.tolist(), strict=True) if good]
        return self._slots(chosen or [self._fresh()])

    def _fresh(self) -> int:
        free = [slot for slot in range(self.knobs.prompts) if slot not in self.used]
        slot = free[0] if free else self.used[0]
        self.offsets[slot] = 0.0
        return slot

    def _slots(self, chosen: list[int]) -> list[int]:
        # what is chosen now is what was chosen last
        self.used = [slot for slot in self.used if slot not in chosen] + chosen
        return chosen

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"used": list(self.used)}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        assert isinstance(state["used"], list)
        self.used = list(state["used"])


@method("dynaprompt", papers=(120,))
@dataclass(frozen=True)
class DynaPrompt:
    """Tune prompts of a model of images and texts online, choosing for each sample those that are surer and steadier than the initial one.

    Args:
        lr: of AdamW.
        prompts: slots, beside the initial prompt; the official script has 12 in all.
        views: of each sample, itself among them.
        share: of the predictions that the entropy is taken over.
        select: choose among the prompts; otherwise one is always tuned.
        keep: what was learnt stays for the next sample.
        difference: what steadiness is measured in.
        epochs, source_lr, batch: of the two towers in `prepare`, by Adam.
        view: how views are made; image views for images, noise for other data if None.
    """

    lr: float = 5e-3
    prompts: int = 11
    views: int = 64
    share: float = 0.1
    select: bool = True
    keep: bool = True
    difference: Literal["probability", "logit"] = "probability"
    epochs: int = 10
    source_lr: float = 3e-3
    batch: int = 64
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="after", network="student", changes="prompts of a text tower", keeps="a text tower, made by `prepare`", needs=("head", "prepared"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.prompts < 1 or self.views < 1 or not 0 < self.share <= 1 or not self.lr >= 0:
            raise ValueError(f"prompts and views must be 1 or more, share in (0, 1] and lr 0 or more, got {self}")
        if self.difference not in ("probability", "logit"):
            raise ValueError(f"difference must be probability or logit, got {self.difference!r}")

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """Teach a text tower the classes of the model on labelled source samples; `vision_text.teach`."""
        return teach(model, source, epochs=self.epochs, lr=self.source_lr, batch=self.batch, seed=seed, progress=progress)

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes the model that `prepare` made."""
        if not isinstance(model, VisionText):
            raise ValueError("dynaprompt tunes the prompts of a model that it prepared: adapt(method.prepare(model, source, seed=0), method)")
        return _DynaPrompt(model, generator, self)

"""A small model of images and texts in the manner of CLIP, made on the spot: a frozen classifier's features, and a text tower beside them.

A text is a context of a few tokens followed by the word of a class. The context goes in as vectors, so that it can be tuned (prompt tuning). The
model is trained on labelled samples under several templates, so that the text tower has met different contexts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.augment import default_views
from outthink.adapt.source import Source
from outthink.adapt.view import Split


class VisionText(nn.Module):
    """Two towers and a temperature; called plainly it classifies with its first template.

    Args:
        model: a classifier whose features are the image side, with a linear head that is not used.
        classes: words that are class names.
        tokens: of a context.
        width: of a token and of the space that both sides meet in.
        templates: contexts of words that it is trained with.
    """

    templates: Tensor

    def __init__(self, model: nn.Module, classes: int, *, tokens: int = 4, width: int = 32, templates: int = 8) -> None:
        super().__init__()
        self.split = Split(model)
        self.image = nn.Linear(self.split.head.in_features, width)
        words = 2 * templates
        self.words, self.names = nn.Embedding(words, width), nn.Embedding(classes, width)
        self.places = nn.Parameter(0.1 * torch.randn(tokens + 1, width))
        # plain attention in place of a fused layer: gradients by the context are wanted in evaluation mode
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.text = nn.Linear(width, width)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("templates", torch.randint(words, (templates, tokens)))

    def context(self, template: int = 0) -> Tensor:
        """The vectors (tokens, width) of a template's words."""
        found: Tensor = self.words(self.templates[template])
        return found

    def seen(self, batch: Tensor) -> Tensor:
        """Image side: (batch, ...) -> unit vectors (batch, width)."""
        return F.normalize(self.image(self.split(batch)[1]), dim=1)

    def said(self, contexts: Tensor) -> Tensor:
        """Text side: contexts (prompts, tokens, width) -> unit vectors of every class under each, (prompts, classes, width)."""
        prompts, _, width = contexts.shape
        names = self.names.weight
        texts = torch.cat([contexts[:, None].expand(-1, len(names), -1, -1), names[None, :, None].expand(prompts, -1, 1, -1)], 2)
        flat = (texts + self.places).flatten(0, 1)
        normal = self.norms[0](flat)
        flat = flat + self.attention(normal, normal, normal, need_weights=False)[0]
        flat = flat + self.mix(self.norms[1](flat))
        return F.normalize(self.text(flat[:, -1]), dim=1).reshape(prompts, len(names), width)

    def compare(self, seen: Tensor, said: Tensor) -> Tensor:
        """Image vectors (batch, width) and text vectors (prompts, classes, width) -> logits (prompts, batch, classes)."""
        return self.log_scale.exp() * torch.einsum("bw,pcw->pbc", seen, said)

    def forward(self, batch: Tensor) -> Tensor:
        """(batch, ...) -> logits (batch, classes)."""
        return self.compare(self.seen(batch), self.said(self.context()[None]))[0]


def teach(
    model: nn.Module, source: Source, *, epochs: int, lr: float, batch: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> VisionText:
    """Train both towers on labelled samples and their augmented views, a template drawn for each batch; the classifier's own weights stay.

    Args:
        model: a trained classifier in evaluation mode; it is copied.
        source: with labels.
        epochs, lr, batch: by Adam.
        seed: of every draw.
        progress: called with (steps done, steps in all).

    Raises:
        ValueError: the source has no labels.
    """
    if source.labels is None:
        raise ValueError("a model of images and texts learns from labelled samples: give Source(inputs, labels)")
    draw = torch.Generator().manual_seed(seed)
    net = copy.deepcopy(model).eval().requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = VisionText(net, Split(net).head.out_features).to(source.inputs)
    learns = [parameter for parameter in made.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(learns, lr=lr)
    view, steps, done = default_views(source.inputs[:2]), epochs * -(-len(source.inputs) // batch), 0
    for _ in range(epochs):
        for rows in torch.randperm(len(source.inputs), generator=draw).split(batch):  # type: ignore[no-untyped-call]
            inputs, labels = source.inputs[rows], source.labels[rows]
            template = int(torch.randint(len(made.templates), (), generator=draw))
            with torch.enable_grad():
                said = made.said(made.context(template)[None])
                both = torch.cat([made.seen(inputs), made.seen(view(inputs, draw))])
                loss = F.cross_entropy(made.compare(both, said)[0], labels.repeat(2))
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
            if progress is not None:
                progress(done, steps)
    optimiser.zero_grad(set_to_none=True)
    return made.eval().requires_grad_(True)

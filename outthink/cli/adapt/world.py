"""What the commands on adaptation share: the model, the data it meets, what it was trained on, and the order of the stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outthink.cli.adapt.models import built_in, called, wanted_channels

if TYPE_CHECKING:
    from torch import Tensor, nn

    from outthink.adapt.adapter import Adapted
    from outthink.adapt.data import Images
    from outthink.adapt.method import Method
    from outthink.adapt.orders import Order
    from outthink.adapt.source import Source
    from outthink.adapt.streams import Domain, Stream

Say = Callable[[str, int | None, int | None], None]

ModelFile = Annotated[
    str | None,
    typer.Option(
        "--model", "-m",
        help="MODULE:FUNCTION or FILE.py:FUNCTION that returns a torch classifier; left out, a small network for --data digits or cifar10.",
    ),
]  # fmt: skip
DataName = Annotated[str, typer.Option("--data", "-d", help="digits, cifar10, or a folder with one subfolder of images a class.")]
SourceName = Annotated[
    str | None, typer.Option("--source", help="Folder of images that the model was trained on, for methods that keep something of it.")
]
StreamName = Annotated[
    str,
    typer.Option(
        "--stream", "-s", help="The order of the samples with its knobs, such as 'correlated(concentration=0.1)'; outthink adapt list has all."
    ),
]
Corruptions = Annotated[
    list[str] | None,
    typer.Option("--corruption", "-c", help="NAME or NAME:SEVERITY (1 to 5), several times for several domains; none takes the images as they are."),
]
Batch = Annotated[int, typer.Option("--batch", "-b", min=1, help="Samples a batch.")]
Limit = Annotated[int | None, typer.Option(min=2, help="Most images of each domain.")]
UnknownFolder = Annotated[
    Path | None, typer.Option("--unknown", help="For open_world: a folder of images of no known class; collages of several images if left out.")
]
LabelBudget = Annotated[int | None, typer.Option(min=0, help="Most labels that a method which asks for labels gets; all if left out.")]
_USUAL = ("contrast:5", "fog:5", "defocus_blur:5")


@dataclass(frozen=True)
class Wanted:
    """What the options ask for.

    Args:
        model, data, source, stream, corruptions, batch, limit, seed: as the options have it.
        unknown: folder of images of no known class, for open_world.
    """

    model: str | None
    data: str
    source: str | None
    stream: str
    corruptions: list[str] | None
    batch: int
    limit: int | None
    seed: int
    unknown: Path | None = None

    def plan(self) -> dict[str, object]:
        """Plain data."""
        plain = {name: getattr(self, name) for name in ("model", "data", "source", "stream", "batch", "limit", "seed")}
        return plain | {"unknown": None if self.unknown is None else str(self.unknown)}


@dataclass(frozen=True)
class World:
    """A classifier and what it meets.

    Args:
        model: in evaluation mode.
        source: what it was trained on, None where that is not known.
        domains: what it meets, one for each corruption (and severity).
        clean: the same images as they are, None where that is not known.
        stream: the order.
        skipped: files that did not decode, each with the reason.
        facts: what was really met, with fingerprints of weights and images, so that a run goes on with these alone; plain data.
    """

    model: nn.Module
    source: Source | None
    domains: tuple[Domain, ...]
    clean: Domain | None
    stream: Stream
    skipped: tuple[tuple[str, str], ...]
    facts: dict[str, object]


def world(wanted: Wanted, say: Say) -> World:
    """Read and make everything that a run needs.

    Raises:
        UsageError: a name is unknown, or things do not go together.
        DataError: images are not there or do not decode.
    """
    from outthink.core.errors import UsageError, need

    need("torch", extra="adapt")
    from outthink.adapt.adapter import adaptable
    from outthink.adapt.orders import Video
    from outthink.adapt.source import Source
    from outthink.adapt.streams import Domain

    order = order_of(wanted.stream)
    own = None if wanted.model is None else called(wanted.model)
    if own is not None:
        try:
            adaptable(own)
        except ValueError as error:
            raise UsageError(f"--model {wanted.model}: {error}") from error
    learnt, test = _images(wanted, 3 if own is None else wanted_channels(own), say)
    net = own if own is not None else built_in(wanted.data, learnt, wanted.seed, say)
    # images are read and corrupted on the CPU as float32; the model says where and in what it computes
    kind = next(iter(net.parameters()))
    _agree(net, wanted, learnt, test, kind)
    usual = _USUAL if wanted.data in ("digits", "cifar10") and not isinstance(order, Video) else ("none",)
    domains = _domains(test, _named(wanted.corruptions or list(usual), order), wanted.seed, say)
    domains = [dataclasses.replace(domain, inputs=domain.inputs.to(kind)) for domain in domains]
    # the user's own test images are clean where they are known to be corrupted by us alone
    clean = None if wanted.source is None and wanted.data not in ("digits", "cifar10") else Domain("clean", test.inputs.to(kind), test.labels)
    known = None if learnt is None else Source(learnt.inputs.to(kind), learnt.labels.to(kind.device))
    try:
        stream = order.stream(domains, batch=wanted.batch, seed=wanted.seed, strangers=lambda domain, count: _unknown(wanted, domain, count, say))
    except ValueError as error:
        raise error if isinstance(error, UsageError) else UsageError(f"--stream {wanted.stream}: {error}") from error
    facts: dict[str, object] = {
        "domains": [domain.name for domain in domains], "weights": fingerprint(net.state_dict().values()),
        "images": fingerprint([*(domain.inputs for domain in stream.domains), *(domain.labels for domain in stream.domains)]),
    }  # fmt: skip
    return World(net, known, tuple(domains), clean, stream, test.skipped, facts)


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """Of the content of tensors, in order."""
    import hashlib

    found = hashlib.sha256()
    for tensor in tensors:
        found.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def method_of(text: str) -> Method:
    """The method that a spec describes, such as `tent(lr=1e-2)`.

    Raises:
        UsageError: the name or a knob is unknown, or a value does not fit.
    """
    from outthink.adapt.method import lookup
    from outthink.core.errors import need
    from outthink.core.spec import build

    need("torch", extra="adapt")
    made: Method = build(text, "adaptation method", find=lambda name: lookup(name).cls)  # type: ignore[assignment]
    return made


def order_of(text: str) -> Order:
    """The kind of stream that a spec describes, such as `correlated(concentration=0.1)`.

    Raises:
        UsageError: the name or a knob is unknown, or a value does not fit.
    """
    from outthink.adapt.orders import lookup
    from outthink.core.spec import build

    made: Order = build(text, "stream", find=lambda name: lookup(name).cls)  # type: ignore[assignment]
    return made


def adapted(here: World, method: Method, seed: int, say: Say, *, labels: int | None = None) -> Adapted:
    """The world's model with a method, prepared first where the method asks for it.

    Args:
        labels: most labels that a method which asks for labels gets; all of the stream's if None.

    Raises:
        UsageError: the model lacks what the method needs; the sentence names what would fit.
    """
    from outthink.adapt.adapter import adapt
    from outthink.adapt.streams import Oracle
    from outthink.core.errors import UsageError

    here = several_domains(here, method, seed)
    if "labels" in method.contract.needs and here.stream.restarts:
        raise UsageError(f"{type(method).__name__} asks for labels by position in one stream, which a reset breaks: use --stream continual")
    budget = len(here.stream.order) if labels is None else labels
    oracle = Oracle(here.stream, budget=budget) if "labels" in method.contract.needs else None
    if oracle is not None and labels is not None and hasattr(method, "budget"):
        method = dataclasses.replace(method, budget=min(labels, method.budget))  # type: ignore[type-var]  # methods are dataclasses
    try:
        return adapt(prepared(here, method, seed, say), method, source=here.source, seed=seed, oracle=oracle)
    except ValueError as error:
        raise error if isinstance(error, UsageError) else UsageError(str(error)) from error


def prepared(here: World, method: Method, seed: int, say: Say) -> nn.Module:
    """The world's model, with what the method learns at the source where it asks for that.

    Raises:
        UsageError: it needs the source and none is known, or the model does not fit.
    """
    from outthink.adapt.method import Preparing
    from outthink.core.errors import UsageError

    if "prepared" not in method.contract.needs or not isinstance(method, Preparing):
        return here.model
    if here.source is None:
        raise UsageError(f"{type(method).__name__} prepares the model on what it was trained on: give --source FOLDER")
    try:
        return method.prepare(here.model, here.source, seed=seed, progress=lambda done, total: say("preparing the model at its source", done, total))
    except ValueError as error:
        raise UsageError(str(error)) from error


def several_domains(here: World, method: Method, seed: int) -> World:
    """The same with a source in several domains, where the method learns from such and the source's are not known: a quarter of its images as they
    are, and one under each of three mild corruptions, as style augmentation makes them."""
    from outthink.adapt.corruptions import corrupt
    from outthink.adapt.source import Source

    source = here.source
    if not method.contract.domains or source is None or source.domains is not None:
        return here
    import torch

    kinds = (None, "contrast", "brightness", "fog")
    domains = torch.arange(len(source.inputs)) % len(kinds)
    inputs = source.inputs.clone()
    for place, kind in enumerate(kinds):
        if kind is not None:
            inputs[domains == place] = corrupt(source.inputs[domains == place], kind, severity=2, seed=seed)
    return dataclasses.replace(here, source=Source(inputs, source.labels, domains))


def strangers(folder: Path, like: Domain, say: Say) -> Tensor:
    """Images of no known class, brought to the size and channels of a domain's.

    Raises:
        DataError: there are none that decode.
    """
    from outthink.adapt.data import read_folder

    shape = like.inputs.shape

    def reading(done: int, total: int) -> None:
        say("reading images of no known class", done, total)

    return read_folder(folder, size=(int(shape[2]), int(shape[3])), channels=int(shape[1]), progress=reading).inputs


def _images(wanted: Wanted, channels: int, say: Say) -> tuple[Images | None, Images]:
    import torch

    from outthink.adapt.data import digits, read_folder

    learnt: Images | None
    if wanted.data == "digits":
        learnt, test = digits(seed=wanted.seed)
    elif wanted.data == "cifar10":
        from outthink.papers.cifar import cifar_images

        say("reading CIFAR-10", None, None)
        learnt, test = cifar_images("train", count=2000, seed=wanted.seed), cifar_images("test", count=wanted.limit or 2000, seed=wanted.seed)
    else:

        def reading(done: int, total: int) -> None:
            say("reading images", done, total)

        test = read_folder(Path(wanted.data), channels=channels, progress=reading)
        size = (test.inputs.shape[2], test.inputs.shape[3])
        learnt = None if wanted.source is None else read_folder(Path(wanted.source), size=size, channels=channels, progress=reading)
    if wanted.limit is not None and wanted.limit < len(test):
        rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(wanted.seed))[: wanted.limit]
        test = dataclasses.replace(test.take(rows.sort().values), skipped=test.skipped)
    return learnt, test


def _agree(net: nn.Module, wanted: Wanted, learnt: Images | None, test: Images, kind: Tensor) -> None:
    """Classes of the source, of the data and of the model must be the same ones in the same order."""
    import torch

    from outthink.core.errors import UsageError

    if learnt is not None and learnt.classes != test.classes:
        apart = sorted(set(learnt.classes) ^ set(test.classes))
        raise UsageError(
            f"--source {wanted.source} has {len(learnt.classes)} classes and --data {wanted.data} has {len(test.classes)}; they differ in "
            f"{', '.join(apart[:5])}: both need the same subfolders"
        )
    try:
        with torch.no_grad():
            found = net(test.inputs[:1].to(kind))
    except (RuntimeError, ValueError) as error:
        shape = tuple(test.inputs.shape[1:])
        raise UsageError(f"--model {wanted.model or wanted.data} does not take images of shape {shape}: {str(error).splitlines()[0]}") from error
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or found.shape[1] != len(test.classes):
        gives = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise UsageError(
            f"--model {wanted.model or wanted.data} gives {gives} for one image and --data {wanted.data} has {len(test.classes)} classes "
            f"({', '.join(test.classes[:5])}{', ...' if len(test.classes) > 5 else ''}): it must give one score for each, (1, {len(test.classes)})"
        )


def _named(corruptions: list[str], order: Order) -> list[str]:
    """With their severities: all up to the highest for a gradual stream."""
    from outthink.adapt.orders import Gradual
    from outthink.core.errors import UsageError

    if not isinstance(order, Gradual):
        return corruptions
    names = [text.partition(":")[0] for text in corruptions]
    if "none" in names:
        raise UsageError("--stream gradual goes through the severities of each --corruption; name them, such as --corruption fog")
    return [f"{name}:{severity}" for name in names for severity in range(1, order.highest + 1)]


def _domains(test: Images, corruptions: list[str], seed: int, say: Say) -> list[Domain]:
    from outthink.adapt.streams import Domain

    domains = []
    for number, text in enumerate(corruptions):
        name, _, severity = text.partition(":")
        say(f"corrupting: {name}", number, len(corruptions))
        called = "as they are" if name == "none" else f"{name} {severity or 5}"
        domains.append(Domain(called, corrupted(test.inputs, text, seed), test.labels))
    return domains


def corrupted(images: Tensor, text: str, seed: int) -> Tensor:
    """Images under a corruption, written as NAME, NAME:SEVERITY or none.

    Raises:
        UsageError: there is no such corruption or severity, or the images do not fit.
    """
    from outthink.adapt.corruptions import corrupt
    from outthink.core.errors import UsageError

    name, _, severity = text.partition(":")
    if name == "none":
        return images
    if severity not in ("", "1", "2", "3", "4", "5"):
        raise UsageError(f"--corruption {text!r}: the severity is 1 to 5, such as {name}:3")
    try:
        return corrupt(images, name, severity=int(severity or 5), seed=seed)
    except ValueError as error:
        raise UsageError(f"--corruption {text!r}: {error}") from error


def _unknown(wanted: Wanted, domain: Domain, count: int, say: Say) -> Tensor:
    # under the shift of the domain, or it would be the shift that tells unknown samples from known ones
    if wanted.unknown is None:
        from outthink.adapt.streams import collages

        return collages(domain.inputs, domain.labels, count, seed=wanted.seed)
    found = strangers(wanted.unknown, domain, say)
    found = found if domain.name == "as they are" else corrupted(found, domain.name.replace(" ", ":"), wanted.seed + 1)
    return found.to(domain.inputs)

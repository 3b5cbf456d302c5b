"""What the commands on adaptation share: the model, the data it meets, what it was trained on, and the order of the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from outthink.adapt.adapter import Adapted
    from outthink.adapt.data import Images
    from outthink.adapt.method import Method
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
StreamName = Annotated[str, typer.Option("--stream", "-s", help="continual, gradual, mixed, correlated or long_tailed.")]
Corruptions = Annotated[
    list[str] | None,
    typer.Option("--corruption", "-c", help="NAME or NAME:SEVERITY (1 to 5), several times for several domains; none takes the images as they are."),
]
Batch = Annotated[int, typer.Option("--batch", "-b", min=1, help="Samples a batch.")]
Limit = Annotated[int | None, typer.Option(min=2, help="Most images of each domain.")]

STREAMS = ("continual", "gradual", "mixed", "correlated", "long_tailed")
_USUAL = ("contrast:5", "fog:5", "defocus_blur:5")


@dataclass(frozen=True)
class World:
    """A classifier and what it meets.

    Args:
        model: in evaluation mode.
        source: what it was trained on, None where that is not known.
        domains: what it meets, one for each corruption.
        clean: the same images as they are, None where that is not known.
        stream: the order.
        skipped: files that did not decode, each with the reason.
    """

    model: nn.Module
    source: Source | None
    domains: tuple[Domain, ...]
    clean: Domain | None
    stream: Stream
    skipped: tuple[tuple[str, str], ...]


def world(
    model: str | None, data: str, source: str | None, stream: str, corruptions: list[str] | None, batch: int, limit: int | None, seed: int, say: Say
) -> World:
    """Read and make everything that a run needs.

    Raises:
        UsageError: a name is unknown, or things do not go together.
        DataError: images are not there or do not decode.
    """
    from outthink.core.errors import UsageError, nearest, need

    need("torch", extra="adapt")
    if stream not in STREAMS:
        raise UsageError(f"--stream {stream!r}: use one of {', '.join(STREAMS)}.{nearest(stream, list(STREAMS))}")
    learnt, test = _images(data, source, limit, seed, say)
    net = _model(model, data, learnt, seed, say)
    domains = _domains(test, corruptions if corruptions else [*(_USUAL if data in ("digits", "cifar10") else ("none",))], stream, seed, say)
    from outthink.adapt.source import Source
    from outthink.adapt.streams import Domain

    clean = None if source is None and data not in ("digits", "cifar10") else Domain("clean", test.inputs, test.labels)
    known = None if learnt is None else Source(learnt.inputs, learnt.labels)
    return World(net, known, tuple(domains), clean, _ordered(stream, domains, batch, seed), test.skipped)


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


def adapted(here: World, method: Method, seed: int, say: Say) -> Adapted:
    """The world's model with a method, prepared first where the method asks for it.

    Raises:
        UsageError: the model lacks what the method needs; the sentence names what would fit.
    """
    from outthink.adapt.adapter import adapt
    from outthink.adapt.streams import Oracle
    from outthink.core.errors import UsageError

    oracle = Oracle(here.stream, budget=len(here.stream.order)) if "labels" in method.contract.needs else None
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


def strangers(folder: Path, here: World, say: Say) -> Tensor:
    """Images of no known class, brought to the size of the world's.

    Raises:
        DataError: there are none that decode.
    """
    from outthink.adapt.data import read_folder

    shape = here.domains[0].inputs.shape
    found = read_folder(folder, size=(shape[2], shape[3]), progress=lambda done, total: say("reading images of no known class", done, total))
    return found.inputs if shape[1] == found.inputs.shape[1] else found.inputs.mean(1, keepdim=True).expand(-1, shape[1], -1, -1)


def _images(data: str, source: str | None, limit: int | None, seed: int, say: Say) -> tuple[Images | None, Images]:
    import torch

    from outthink.adapt.data import digits, read_folder

    learnt: Images | None
    if data == "digits":
        learnt, test = digits(seed=seed)
    elif data == "cifar10":
        from outthink.papers.cifar import cifar_images

        say("reading CIFAR-10", None, None)
        learnt, test = cifar_images("train", count=2000, seed=seed), cifar_images("test", count=limit or 2000, seed=seed)
    else:
        from pathlib import Path

        def reading(done: int, total: int) -> None:
            say("reading images", done, total)

        test = read_folder(Path(data), progress=reading)
        size = (test.inputs.shape[2], test.inputs.shape[3])
        learnt = None if source is None else read_folder(Path(source), size=size, progress=reading)
    if limit is not None and limit < len(test):
        rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))[:limit]
        skipped = test.skipped
        test = test.take(rows)
        test = type(test)(test.inputs, test.labels, test.classes, skipped)
    return learnt, test


def _model(model: str | None, data: str, learnt: Images | None, seed: int, say: Say) -> nn.Module:
    from outthink.core.errors import UsageError

    if model is not None:
        return _called(model)
    if data == "digits":
        import torch

        from outthink.adapt.networks import DigitNet, train

        assert learnt is not None
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = DigitNet()
        return train(net, learnt.inputs, learnt.labels, epochs=25, seed=seed, progress=lambda done, total: say("training a network", done, total))
    if data == "cifar10":
        from outthink.papers.cifar import CIFAR, cifar_world

        if not CIFAR.ready:
            raise UsageError("the network for cifar10 is not made yet: outthink reproduce 31 --prepare makes it (two minutes), or give --model")
        return cifar_world()[0]
    raise UsageError("a folder of images needs your model: --model MODULE:FUNCTION, a function without arguments that returns it")


def _called(text: str) -> nn.Module:
    import importlib
    import importlib.util
    import sys
    from pathlib import Path

    from torch import nn

    from outthink.core.errors import UsageError, nearest

    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(
            f"--model {text!r}: write MODULE:FUNCTION or FILE.py:FUNCTION, a function that returns the classifier with its weights loaded "
            "(a saved module alone would run whatever code is in it)"
        )
    try:
        if place.endswith(".py"):
            found = importlib.util.spec_from_file_location(Path(place).stem, place)
            assert found is not None
            assert found.loader is not None
            module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
        else:
            sys.path.insert(0, str(Path.cwd()))
            module = importlib.import_module(place)
    except (ImportError, OSError, SyntaxError) as error:
        raise UsageError(f"--model {text!r}: {place} cannot be imported: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"--model {text!r}: {place} has no function {name!r}.{nearest(name, dir(module))}")
    made = function()
    if not isinstance(made, nn.Module):
        raise UsageError(f"--model {text!r}: {name}() returned {type(made).__name__}, not a torch.nn.Module")
    return made


def _domains(test: Images, corruptions: list[str], stream: str, seed: int, say: Say) -> list[Domain]:
    from outthink.adapt.corruptions import corrupt
    from outthink.adapt.streams import Domain
    from outthink.core.errors import UsageError

    if stream == "gradual":
        if len(corruptions) > 1:
            corruptions = corruptions[:1]
        name = corruptions[0].partition(":")[0]
        if name == "none":
            raise UsageError("--stream gradual goes through the severities of one --corruption; name it, such as --corruption fog")
        corruptions = [f"{name}:{severity}" for severity in range(1, 6)]
    domains = []
    for number, text in enumerate(corruptions):
        name, _, severity = text.partition(":")
        say(f"corrupting: {name}", number, len(corruptions))
        if name == "none":
            domains.append(Domain("as they are", test.inputs, test.labels))
            continue
        if severity not in ("", "1", "2", "3", "4", "5"):
            raise UsageError(f"--corruption {text!r}: the severity is 1 to 5, such as {name}:3")
        try:
            images = corrupt(test.inputs, name, severity=int(severity or 5), seed=seed)
        except ValueError as error:
            raise UsageError(f"--corruption {text!r}: {error}") from error
        domains.append(Domain(f"{name} {severity or 5}", images, test.labels))
    return domains


def _ordered(name: str, domains: list[Domain], batch: int, seed: int) -> Stream:
    from outthink.adapt import streams

    if name == "long_tailed":
        return streams.long_tailed(domains[0], ratio=20.0, batch=batch, seed=seed)
    makers = {"continual": streams.continual, "gradual": streams.gradual, "mixed": streams.mixed}
    if name == "correlated":
        return streams.correlated(domains, batch=batch, seed=seed)
    return makers[name](domains, batch=batch, seed=seed)

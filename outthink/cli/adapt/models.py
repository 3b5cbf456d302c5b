"""The classifier of a command: the user's own, from a function, or a small one made for the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from outthink.adapt.data import Images

Say = Callable[[str, int | None, int | None], None]
_EPOCHS, _RECIPE = 25, "digits/1"


def called(text: str) -> nn.Module:
    """The model that MODULE:FUNCTION or FILE.py:FUNCTION returns.

    Raises:
        UsageError: it cannot be imported or called, or returns no module; an error in the user's own code is named with its file and line.
    """
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
    if place.endswith(".py") and not Path(place).is_file():
        raise UsageError(f"--model {text!r}: {place} cannot be imported: there is no such file")
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
    except Exception as error:
        raise UsageError(f"--model {text!r}: {place} cannot be imported: {_theirs(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        own = [known for known, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == module.__name__]
        raise UsageError(f"--model {text!r}: {place} has no function {name!r}.{nearest(name, own)}")
    try:
        made = function()
    except Exception as error:
        raise UsageError(f"--model {text!r}: {name}() failed: {_theirs(error)}") from error
    if not isinstance(made, nn.Module):
        raise UsageError(f"--model {text!r}: {name}() returned {type(made).__name__}, not a torch.nn.Module")
    return made


def _theirs(error: Exception) -> str:
    # what went wrong in code that is not ours, with the place where it did
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    said = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {said}{at}"


def wanted_channels(net: nn.Module) -> int:
    """Of the images that a network takes, by its first convolution: 1 or 3."""
    from torch import nn

    first = next((module for module in net.modules() if isinstance(module, nn.Conv2d)), None)
    return 1 if first is not None and first.in_channels == 1 else 3


def built_in(data: str, learnt: Images | None, seed: int, say: Say) -> nn.Module:
    """A small network for digits or CIFAR-10; that for digits is trained once and kept in the cache.

    Raises:
        UsageError: the data is another, or the network for CIFAR-10 is not made yet.
    """
    from outthink.core.errors import UsageError

    if data == "digits":
        assert learnt is not None
        return _for_digits(learnt, seed, say)
    if data == "cifar10":
        from outthink.papers.cifar import CIFAR, cifar_world

        if not CIFAR.ready:
            raise UsageError("the network for cifar10 is not made yet: outthink reproduce 31 --prepare makes it (two minutes), or give --model")
        return cifar_world()[0]
    raise UsageError("a folder of images needs your model: --model MODULE:FUNCTION, a function without arguments that returns it")


def _for_digits(learnt: Images, seed: int, say: Say) -> nn.Module:
    import pickle

    import torch

    from outthink.adapt.networks import DigitNet, train
    from outthink.core.data import cache_folder
    from outthink.core.errors import StoreError
    from outthink.core.files import write_whole

    kept = cache_folder() / "networks" / f"{_RECIPE.replace('/', '-')}-{seed}.pt"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = DigitNet()
    if kept.exists():
        try:
            net.load_state_dict(torch.load(kept, weights_only=True))
            return net.eval()
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            say("the kept network cannot be read and is trained anew", None, None)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                net = DigitNet()
    train(net, learnt.inputs, learnt.labels, epochs=_EPOCHS, seed=seed, progress=lambda done, total: say("training a network", done, total))
    try:
        write_whole(kept, lambda file: torch.save(net.state_dict(), file))
    except StoreError as error:  # a cache that cannot be written costs time next time, and nothing else
        say(f"the network is not kept: {error}", None, None)
    return net

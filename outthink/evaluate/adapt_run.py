"""An online run of an adapting model that is saved as it goes, so that whatever ends it loses at most the last seconds.

    run = play(model, stream, folder=Path("my-run"), plan={"method": "tent(lr=1e-3)", ...})

The folder holds `plan.json` (what is run), `state.pt` (predictions so far and all that the model has become) and, at the end, `report.json`.
Calling again with the same plan goes on where the last call stopped; another plan is refused with the difference.
"""

from __future__ import annotations

import json
import pickle
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import torch

from outthink.adapt.adapter import Adapted
from outthink.adapt.online import Progress, Run, Tally, joined, restart
from outthink.adapt.streams import Stream
from outthink.core.errors import StoreError
from outthink.core.files import write_whole

PLAN, STATE = "plan.json", "state.pt"
EVERY_S = 10.0
"""Seconds between two saves."""


def play(
    model: Adapted, stream: Stream, *, folder: Path | None, plan: Mapping[str, object], progress: Progress | None = None, every: float = EVERY_S
) -> Run:
    """Predict and adapt over a stream, from the state that the folder holds.

    Args:
        model: freshly made with `adapt`.
        stream: what it meets.
        folder: where to save; None saves nothing.
        plan: what is run, plain data; two runs with equal plans are the same run.
        progress: called after every batch.
        every: seconds between two saves.

    Raises:
        StoreError: the folder holds another run, or what it holds cannot be read or written.
    """
    pieces: list[torch.Tensor] = []
    spent = 0.0
    if folder is not None:
        _claim(folder, plan)
        if (folder / STATE).exists():
            pieces, spent = _resume(folder, model)
    done, tally = sum(len(piece) for piece in pieces), Tally(stream)
    for piece in pieces:
        tally.add(piece)
    saved_at, between = time.monotonic(), True
    held = _HeldInterrupt()
    try:
        held.hold()
        for number, batch in enumerate(stream, start=1):
            if int(batch.ids[-1]) < done:
                continue
            if stream.fresh(batch):
                restart(model)
            between, start = False, time.perf_counter()
            logits = model(batch.inputs)
            spent += time.perf_counter() - start
            pieces.append(logits.cpu())
            between, error = True, tally.add(pieces[-1])
            if progress is not None:
                progress(number, len(stream), error)
            if folder is not None and time.monotonic() - saved_at >= every:
                _save(folder, model, pieces, spent)
                saved_at = time.monotonic()
            if held.asked:
                raise KeyboardInterrupt
    finally:
        held.release()
        # errors end here too. In the middle of a step the model is half of what it will be: then the last save stands
        if folder is not None and pieces and between:
            _save(folder, model, pieces, spent)
    return joined(pieces, stream, model.cost, spent)


class _HeldInterrupt:
    """Ctrl-C waits for the end of the step, so that what was done is whole; a second one does not wait."""

    def __init__(self) -> None:
        self.asked = False
        self._before: object = None

    def hold(self) -> None:
        # only the main thread may set handlers; elsewhere Ctrl-C never arrives
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.release()

    def release(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]  # what getsignal gave
            self._before = None


def _claim(folder: Path, plan: Mapping[str, object]) -> None:
    wanted = json.loads(json.dumps(plan))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = json.loads((folder / PLAN).read_text()) if (folder / PLAN).exists() else None
        if there is None:
            write_whole(folder / PLAN, json.dumps(wanted, indent=1, ensure_ascii=False))
            return
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} cannot be used for a run: {error}; choose another --out") from error
    different = [name for name in {**wanted, **there} if wanted.get(name) != there.get(name)]
    if different:
        name = different[0]
        raise StoreError(f"{folder} holds a run with {name} {there.get(name)!r}, and this one has {wanted.get(name)!r}; choose another --out")


def _resume(folder: Path, model: Adapted) -> tuple[list[torch.Tensor], float]:
    try:
        kept = torch.load(folder / STATE, weights_only=True, map_location="cpu")  # a run may go on on another device
        model.load_state_dict(kept["model"])
        return [kept["logits"]], float(kept["seconds"])
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{folder / STATE} cannot be continued from: {said}; delete the folder or choose another --out") from error


def _save(folder: Path, model: Adapted, pieces: list[torch.Tensor], spent: float) -> None:
    kept = {"model": model.state_dict(), "logits": torch.cat(pieces), "seconds": spent}
    write_whole(folder / STATE, lambda file: torch.save(kept, file), kept="what was saved before is as it was")

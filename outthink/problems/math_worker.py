"""The process in which math-verify runs: reads one JSON list a line, answers with one JSON value a line. Started by `math_process`.

It has no time limit of its own (SymPy cannot be interrupted from inside); whoever started it ends it. Its memory is limited.

    ["gold", "text"] -> true if both can be read and mean the same, false if not, null if they are too big to decide
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import warnings

from outthink.core.errors import need

MEMORY_BYTES = 3 * 2**30


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_BYTES if most == resource.RLIM_INFINITY else min(MEMORY_BYTES, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def main() -> None:
    """Answer requests until the input ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not look like a reply
    _limit_memory()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)  # math-verify warns at every call that its own time limits are off
    math = need("math_verify", extra="math")

    @functools.lru_cache(maxsize=10_000)
    def parse(text: str) -> tuple[object, ...]:
        return tuple(math.parse(f"${text}$", parsing_timeout=None))

    print("ready", file=replies)
    for line in sys.stdin:
        try:
            gold, target = (list(parse(text)) for text in json.loads(line))
            reply = bool(gold) and bool(target) and bool(math.verify(gold, target, timeout_seconds=None))
        except (MemoryError, RecursionError):
            reply = None  # too big to decide, as if it had taken too long
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main()

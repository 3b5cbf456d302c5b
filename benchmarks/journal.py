"""A journal of a million calls: appends and lookups of its last part against those of its first, and how long resuming takes.

    python benchmarks/journal.py [calls]

Prints seconds for each 100,000 calls and the ratio of the last to the first; a ratio near 1 means that it does not slow.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from outthink.core.completion import Completion, Usage
from outthink.core.journal import Call, Journal, call_key
from outthink.core.keys import digest
from outthink.core.spend import Spend

PART = 100_000
SAMPLES = 16  # draws of one request, committed one by one as they finish


def calls_of(part: int) -> list[Call]:
    """The calls of one part: requests of 16 samples each, with texts of about 60 words."""
    body = Completion("word " * 60, "stop", Usage(80, 60), logprob=-12.5).to_json()
    return [
        Call(f"p{part}-{i // SAMPLES}/seed=0", digest(f"{part}/{i // SAMPLES}"), i % SAMPLES, "sample", "done", "policy", f"p{part}-{i // SAMPLES}",
             "m@e", None, Spend(60, 80, 1), Spend(60, 80, 1), body=body)
        for i in range(PART)
    ]  # fmt: skip


def main(count: int) -> None:
    """Append, then open again and look everything up."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        appends, works, lookups = [], [], []
        with Journal(path) as journal:
            for part in range(count // PART):
                calls = calls_of(part)
                start, busy = time.perf_counter(), time.process_time()
                for call in calls:
                    journal.append([call])
                appends.append(time.perf_counter() - start)
                works.append(time.process_time() - busy)
                print(f"append {part + 1:>3} x {PART:,}: {appends[-1]:.2f} s", flush=True)
        size = path.stat().st_size
        start = time.perf_counter()
        with Journal(path) as journal:
            opened = time.perf_counter() - start
            for part in range(count // PART):
                keys = [
                    [call_key(f"p{part}-{i}/seed=0", digest(f"{part}/{i}"), "m@e", draw) for draw in range(SAMPLES)] for i in range(PART // SAMPLES)
                ]
                start = time.perf_counter()
                found = sum(len(journal.find(group)) for group in keys)
                lookups.append(time.perf_counter() - start)
                assert found == PART, f"{found} of {PART} found again"
    print(f"{count:,} calls, {size / 2**20:.0f} MiB, opened again in {opened * 1000:.0f} ms")
    for name, seconds in (("append", appends), ("append, processor time", works), ("lookup", lookups)):
        print(f"{name}: first {seconds[0]:.2f} s, last {seconds[-1]:.2f} s a {PART:,}; ratio {seconds[-1] / seconds[0]:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

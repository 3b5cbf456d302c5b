"""Test-time adaptation: time and memory a batch of every method, against the forward pass, its own passes alone, and another library.

    OMP_NUM_THREADS=1 OUTTHINK_DATA=... python benchmarks/adapt.py [--rounds 7] [--peer CHECKOUT] [--json FILE]

ResNet-20 on 32 x 32 images of CIFAR-10 under Gaussian noise (made once by the reproductions' fixture; with `--random`, random weights and
pixels, on which methods that choose certain samples find none and take no step). Every method runs with its own defaults. A round gives every
method its next batch of the stream and then, on the same batch, in turn:

- the plain forward pass, without a graph;
- its passes alone: the forwards (with the sizes that were seen while it ran), the backwards by the parameters that it trains, and the views
  that it drew, on an untouched network, with batch statistics if it replaces the stored ones. A method that restarts for each sample does so in
  passes of one sample too. Sizes that it declares in `cost` must be those that were seen; a difference is printed;
- the method of the same name in mariodoebler/test-time-adaptation, with the same settings (`adapt_peer.py`, `--peer` or OUTTHINK_PEER_TTA: a
  checkout beside the project; torchvision is needed). Ours goes first in every other round.

Processor seconds on one thread, so that a busy machine changes little. A ratio is the median over rounds of the paired ratios, with its
bootstrap interval. MEMO, DynaPrompt and video_ttt work sample by sample and get `SLOW` samples in place of a batch. What is learnt at the source
is not in the times. A method that sends samples through other networks too (SDA's denoiser) has no ratio to its passes alone.

Memory: a new process each, in which freed memory goes back to the system at once: the peak of its resident memory (VmHWM of Linux, which starts
anew with a program; ru_maxrss elsewhere) after three batches, the start on the source included, less what it was after two plain forward passes.
Goal: not slower than the peer.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np  # noqa: E402 - after the number of threads is set
import torch  # noqa: E402
from adapt_peer import PEERS, Peer, Step  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from outthink.adapt.adapter import Adapted, adapt  # noqa: E402
from outthink.adapt.augment import ImageViews  # noqa: E402
from outthink.adapt.method import Preparing, methods  # noqa: E402
from outthink.adapt.networks import CifarResNet  # noqa: E402
from outthink.adapt.norms import BATCH_NORMS, AdaptiveNorm, SourceStatistics  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

CLASSES, SOURCE, SLOW = 10, 256, 16
BY_SAMPLE = ("dynaprompt", "memo", "video_ttt")
WARM = 2  # batches before the first that counts


@dataclass
class World:
    """A network, the source it is prepared on, and a stream with its labels (for the oracle alone)."""

    net: nn.Module
    source: Source
    stream: Tensor
    labels: Tensor

    def ask(self, ids: Tensor) -> Tensor:
        """What an oracle answers."""
        return self.labels[ids % len(self.labels)]

    def batch(self, number: int, rows: int) -> Tensor:
        """The next rows of the stream, which starts again at its end."""
        return self.stream[torch.arange(number * rows, (number + 1) * rows) % len(self.stream)]


def make_world(random: bool, seed: int) -> World:
    """CIFAR-10 and its network, made now if it was not; or random numbers."""
    domains = torch.arange(SOURCE) % 2
    if random:
        torch.manual_seed(seed)
        images, labels = torch.rand(2000 + SOURCE, 3, 32, 32), torch.randint(CLASSES, (2000 + SOURCE,))
        return World(CifarResNet().eval(), Source(images[:SOURCE], labels[:SOURCE], domains), images[SOURCE:], labels[SOURCE:])
    from outthink.papers.cifar import CIFAR, cifar_world

    CIFAR.prepare()
    net, parts = cifar_world()
    clean, noisy = parts["clean"], parts["gaussian_noise"]
    order = torch.randperm(len(noisy.inputs), generator=torch.Generator().manual_seed(seed))
    return World(net, Source(clean.inputs[:SOURCE], clean.labels[:SOURCE], domains), noisy.inputs[order], noisy.labels[order])


@dataclass
class Seen:
    """What one batch took: passes as (samples, with a graph), views in samples of each call, and what the method says of itself."""

    passes: list[tuple[int, bool]] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    forwards: int = 0
    backwards: int = 0


@contextmanager
def watching(seen: Seen) -> Iterator[None]:
    """Every pass through a ResNet and every call for image views, noted."""

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, CifarResNet):
            seen.passes.append((len(inputs[0]), torch.is_grad_enabled()))

    def ended(module: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        # not reached by a pass that is cut short after some map
        if isinstance(module, CifarResNet):
            seen.passes[-1] = (len(inputs[0]), logits.requires_grad)

    own = ImageViews.__call__

    def views(self: ImageViews, batch: Tensor, generator: torch.Generator) -> Tensor:
        seen.views.append(len(batch))
        return own(self, batch, generator)

    hooks = [nn.modules.module.register_module_forward_pre_hook(note), nn.modules.module.register_module_forward_hook(ended)]
    ImageViews.__call__ = views  # type: ignore[method-assign]
    try:
        yield
    finally:
        ImageViews.__call__ = own  # type: ignore[method-assign]
        for hook in hooks:
            hook.remove()


def timed(call: Callable[[], object]) -> float:
    """Processor seconds."""
    start = time.process_time()
    call()
    return time.process_time() - start


class Contender:
    """One method of ours, its passes alone, and the peer's if there is one."""

    def __init__(self, name: str, world: World, rows: int, seed: int, peer: Peer | None) -> None:
        self.name, self.world, self.way = name, world, methods()[name].cls()
        self.rows = min(rows, SLOW) if name in BY_SAMPLE else rows
        self.net = self.way.prepare(world.net, world.source, seed=seed) if isinstance(self.way, Preparing) else world.net
        self.model = self.fresh(seed)
        self.bare = self._bare()
        self.peer: Step | None = peer.start(name, world.net, CLASSES) if peer is not None and name in PEERS else None
        self.seconds: dict[str, list[float]] = {"ours": [], "plain": [], "needed": [], "peer": []}
        self.seen: list[Seen] = []

    def fresh(self, seed: int) -> Adapted:
        """The method at its start."""
        return adapt(self.net, self.way, source=self.world.source, seed=seed, oracle=self.world if "labels" in self.way.contract.needs else None)

    def _bare(self) -> nn.Module:
        # the untouched network inside whatever `prepare` made, with the parameters free that the method trains
        inside, own = next((name, module) for name, module in self.net.named_modules() if isinstance(module, CifarResNet)), self.model.state.model
        prefix = f"{inside[0]}." if inside[0] else ""
        free = {name for name, parameter in own.named_parameters() if parameter.requires_grad}
        net = copy.deepcopy(inside[1])
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(prefix + name in free)
        replaced = any(isinstance(module, AdaptiveNorm) and not isinstance(module.statistics, SourceStatistics) for module in own.modules())
        for module in net.modules():
            if isinstance(module, BATCH_NORMS) and replaced:
                module.train()
        return net

    def ours(self, batch: Tensor) -> Seen:
        """One batch by our method, watched."""
        seen, before = Seen(), copy.copy(self.model.cost)
        with watching(seen):
            self.model(batch)
        if before.forwards == 0:  # the adapter tries the shape of the first batch on one sample
            seen.passes = seen.passes[1:]
        seen.forwards, seen.backwards = self.model.cost.forwards - before.forwards, self.model.cost.backwards - before.backwards
        return seen

    def needed(self, batch: Tensor, seen: Seen) -> None:
        """The passes and views that were seen, and nothing else."""
        generator, views = torch.Generator().manual_seed(0), ImageViews()
        for count in seen.views:
            views(self._rows(batch, count), generator)
        for count, graph in seen.passes:
            if graph and seen.backwards:
                # where all that is trained lies outside of the network (ITTA's blocks), gradients go through it to its input
                outside = not any(parameter.requires_grad for parameter in self.bare.parameters())
                self.bare(self._rows(batch, count).clone().requires_grad_(outside)).logsumexp(1).mean().backward()
                self.bare.zero_grad(set_to_none=True)
            else:
                with torch.no_grad():
                    self.bare(self._rows(batch, count))

    @staticmethod
    def _rows(batch: Tensor, count: int) -> Tensor:
        return batch[:count] if count <= len(batch) else batch[torch.arange(count) % len(batch)]

    def round(self, number: int) -> None:
        """Time all of them on the next batch."""
        batch, found = self.world.batch(number, self.rows), Seen()

        def own() -> None:
            nonlocal found
            found = self.ours(batch)

        jobs: list[tuple[str, Callable[[], object]]] = [("ours", own)]
        if self.peer is not None:
            peer = self.peer
            jobs.insert(number % 2, ("peer", lambda: peer(batch)))
        jobs += [("needed", lambda: self.needed(batch, found)), ("plain", lambda: self.plain(batch))]
        took = {name: timed(job) for name, job in jobs}
        if number >= WARM:
            self.seen.append(found)
            for name, seconds in took.items():
                self.seconds[name].append(seconds)

    @torch.no_grad()
    def plain(self, batch: Tensor) -> None:
        """The network as it is."""
        self.world.net(batch)


def ratio(first: list[float], second: list[float]) -> tuple[float, float, float]:
    """Median of the paired ratios, and a 95 % bootstrap interval of it."""
    logs = np.log(np.array(first) / np.array(second))
    drawn = np.random.default_rng(0).choice(logs, (4000, len(logs)))
    low, high = np.quantile(np.median(drawn, 1), [0.025, 0.975])
    return math.exp(float(np.median(logs))), math.exp(float(low)), math.exp(float(high))


def peak_memory(contender: Contender, seed: int) -> float:
    """Megabytes above the plain forward pass, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        world, kept = contender.world, Path(folder, "world.pt")
        batches = torch.stack([world.batch(number, contender.rows) for number in range(3)])
        torch.save((contender.name, contender.net, world.source, batches, world.labels, seed), kept)
        # blocks that are mapped one by one go back when they are freed, so the peak is that of what is in use
        own = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
        done = subprocess.run([sys.executable, __file__, "--memory-of", str(kept)], check=True, capture_output=True, text=True, env=own)
    return float(done.stdout.strip().splitlines()[-1])


def peak() -> float:
    """Most resident memory of this process so far, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would begin with what the parent had
        return float(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def measure_memory(kept: Path) -> None:
    """The other side of `peak_memory`."""
    torch.set_num_threads(1)
    name, net, source, batches, labels, seed = torch.load(kept, weights_only=False)
    way = methods()[name].cls()
    with torch.no_grad():
        for batch in batches[:2]:
            net(batch)
    before = peak()
    oracle = World(net, source, batches.flatten(0, 1), labels) if "labels" in way.contract.needs else None
    model = adapt(net, way, source=source, seed=seed, oracle=oracle)
    for batch in batches:
        model(batch)
    print(peak() - before)


def row(contender: Contender, memory: float | None) -> dict[str, object]:
    """Print one line of the table, and return it."""
    seconds, seen = contender.seconds, contender.seen
    forwards, backwards, views = (
        float(np.mean([value / contender.rows for value in values]))
        for values in ([s.forwards for s in seen], [s.backwards for s in seen], [sum(s.views) for s in seen])
    )
    found: dict[str, object] = {
        "method": contender.name, "rows": contender.rows, "seconds": seconds, "forwards": forwards, "backwards": backwards, "views": views,
        "of_plain": ratio(seconds["ours"], seconds["plain"]), "of_needed": ratio(seconds["ours"], seconds["needed"]), "memory_mb": memory,
    }  # fmt: skip
    counted = [(s.forwards, sum(count for count, _ in s.passes)) for s in seen]
    if wrong := [pair for pair in counted if pair[0] != pair[1]]:
        print(f"{contender.name} declares {wrong[0][0]} forwards and {wrong[0][1]} went through ResNet-20", file=sys.stderr)
        found["declared_and_seen"], found["of_needed"] = wrong, None
    shown = ["" if at is None else f"{at[0]:6.2f} [{at[1]:.2f}, {at[2]:.2f}]" for at in (found["of_plain"], found["of_needed"])]  # type: ignore[index]
    against = ""
    if seconds["peer"]:
        value, low, high = found["of_peer"] = ratio(seconds["ours"], seconds["peer"])
        verdict = "not slower" if high <= 1 else "SLOWER" if low > 1 else "no difference seen"
        found["verdict"], against = verdict, f"{value:.2f} [{low:.2f}, {high:.2f}] {verdict}"
    held = "" if memory is None else f"{memory:6.0f}"
    print(
        f"| {contender.name} | {1e3 * float(np.median(seconds['ours'])):8.1f} | {shown[0]} | {forwards:.3g} / {backwards:.3g} / {views:.3g} "
        f"| {shown[1]} | {against} | {held} |",
        flush=True,
    )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=64, help="samples a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", help="names, separated by commas; all if left out")
    parser.add_argument("--peer", type=Path, default=os.environ.get("OUTTHINK_PEER_TTA"), help="checkout of mariodoebler/test-time-adaptation")
    parser.add_argument("--random", action="store_true", help="random weights and pixels, where there is no CIFAR-10")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error(f"--rounds must be 3 or more for an interval, got {given.rounds}")
    if given.memory_of is not None:
        measure_memory(given.memory_of)
        return
    torch.set_num_threads(1)
    world = make_world(given.random, given.seed)
    peer = Peer(Path(given.peer), world.source, given.rows) if given.peer else None
    machine = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", "python": platform.python_version(),
        "torch": torch.__version__, "rows": given.rows, "rounds": given.rounds, "warm": WARM, "source": SOURCE, "seed": given.seed,
        "network": "ResNet-20, " + ("random weights and pixels" if given.random else "CIFAR-10 under gaussian_noise, severity 5"),
    }  # fmt: skip
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    chosen = given.methods.split(",") if given.methods else sorted(methods())
    contenders = []
    for name in chosen:
        print(f"making {name}", file=sys.stderr, flush=True)
        contenders.append(Contender(name, world, given.rows, given.seed, peer))
    for number in range(WARM + given.rounds):
        for contender in contenders:
            contender.round(number)
        print(f"round {number + 1} of {WARM + given.rounds}", file=sys.stderr, flush=True)
    print("| method | ms a batch | of the plain forward | forwards / backwards / views a sample | of its passes alone | of the peer's | peak MB |")
    print("|---|---|---|---|---|---|---|")
    rows = [row(contender, None if given.no_memory else peak_memory(contender, given.seed)) for contender in contenders]
    if given.json is not None:
        given.json.write_text(json.dumps({**machine, "seen": {c.name: asdict(c.seen[-1]) for c in contenders}, "methods": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Best-of-16 of one prompt on the embedded engine: outthink against the fastest raw way to get the same 16 completions.

The raw way is one request for 16 samples to llama.cpp in process (16 separate requests in threads are also timed). Best-of-n ranks by log
probability, which the engine tells at the price of a softmax over its vocabulary for each token: the ratio to a raw request that asks for
them too is what outthink itself adds. Pairs are interleaved in random order; the ratio is that of paired times, with a bootstrap interval
of its median. Target: at most 1.05 of the raw request for the same completions, log probabilities among them.

    python benchmarks/engine.py [--pairs 20] [--tokens 64]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import numpy as np

from outthink.core.attempt import attempt
from outthink.core.pool import Pool
from outthink.core.problem import Problem
from outthink.core.request import Message, Sampling
from outthink.core.session import Session
from outthink.models import store
from outthink.models.embedded import EmbeddedModel
from outthink.problems.answers import Number
from outthink.strategies.best_of_n import BestOfN

WAYS = ("outthink best_of_n(n=16)", "raw: one request, n=16", "raw: the same with log probabilities", "raw: 16 requests in 16 threads")


def question(number: int) -> Problem:
    """A prompt that no run before has in its cache."""
    text = f"Add the numbers {10 + number % 89} and {11 + number * 7 % 88}. Explain every step. This is question {number}."
    return Problem(str(number), (Message("user", text),), Number())


async def timed(way: int, model: EmbeddedModel, problem: Problem, sampling: Sampling, threads: ThreadPoolExecutor) -> tuple[float, list[str]]:
    """Seconds and the texts of the 16 completions: all ways have the same prompt and seeds, so the texts must be the same."""
    session = Session.open(model, sampling=sampling, place=(problem.id,))
    request = problem.request(sampling)
    # the raw ways take the engine as it stands: same weights, threads and slots
    complete = model._engine._server.handle_completions
    raw = {
        "prompt": model._rendered(request.messages, None), "seed": session.seed(request.digest), "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature, "top_p": 1.0, "top_k": 0, "min_p": 0.0,
    }  # fmt: skip
    start = time.perf_counter()
    if way == 0:
        await attempt(BestOfN(16), problem, session)
        seconds = time.perf_counter() - start
        return seconds, [sample.completion.text for sample in Pool(session.shared.journal).samples()]
    if way in (1, 2):
        replies = [await anyio.to_thread.run_sync(complete, {**raw, "n": 16, "n_probs": way - 1})]
    else:
        seeds = [session.seed(request.digest) + i for i in range(16)]
        replies = await anyio.to_thread.run_sync(lambda: list(threads.map(lambda seed: complete({**raw, "seed": seed}), seeds)))
    seconds = time.perf_counter() - start
    return seconds, [choice["text"] for reply in replies for choice in sorted(reply["choices"], key=lambda choice: choice["index"])]


async def main() -> None:
    """Run the pairs and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    model = EmbeddedModel(store.get(say=print))
    sampling = Sampling(temperature=0.8, max_tokens=options.tokens)
    threads = ThreadPoolExecutor(16)
    order = random.Random(0)
    seconds: dict[int, list[float]] = {way: [] for way in range(len(WAYS))}
    same = 0
    for pair in range(options.pairs + 1):
        ways = list(range(len(WAYS)))
        order.shuffle(ways)
        done = {way: await timed(way, model, question(pair), sampling, threads) for way in ways}
        if pair:  # the first round warms up
            same += sorted(done[0][1]) == sorted(done[1][1])
            for way in ways:
                seconds[way].append(done[way][0])
    await model.aclose()
    rng = np.random.default_rng(0)
    report: dict[str, Any] = {}
    for way, name in enumerate(WAYS):
        report[name] = {"seconds": float(np.median(seconds[way]))}
        for against, base in (("raw", 1), ("raw_with_logprobs", 2)):
            ratios = np.array(seconds[way]) / np.array(seconds[base])
            medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
            low, high = np.quantile(medians, [0.025, 0.975])
            report[name][against] = [float(np.median(ratios)), float(low), float(high)]
        plain, same_work = ("{:.3f} [{:.3f}, {:.3f}]".format(*report[name][against]) for against in ("raw", "raw_with_logprobs"))
        print(f"{name:36} {plain} of the raw time, {same_work} of that with log probabilities; median {report[name]['seconds']:.2f} s")
    print(f"outthink and raw gave the same 16 texts in {same} of {options.pairs} pairs")
    print(json.dumps({"pairs": options.pairs, "max_tokens": options.tokens, "same_texts": same, "ways": report}))


if __name__ == "__main__":
    anyio.run(main)

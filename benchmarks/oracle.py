"""How much of `engine="vllm"` is vLLM: time inside its scheduler and its requests over the time of the run.

Run: python benchmarks/oracle.py [requests]     (needs vLLM)      Target: at most 5 % of the time is ours.

Splitwise-conversation lengths, Poisson arrivals at load 0.9, linear clock, 16-token blocks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import kvolume
from kvolume.clock import parse_clock
from kvolume.vllm import oracle

CASES = ((131_072, 64), (131_072, 256), (1_048_576, 1024))  # KV tokens, max_num_seqs


class Inside:
    """Seconds spent in the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, f: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return f(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begin

        return inner


def main(n: int = 2000) -> int:
    inside, worst = Inside(), 0.0
    build, request = oracle._scheduler, oracle._request

    def wrapped(*args: Any) -> Any:
        scheduler = build(*args)
        for name in ("schedule", "update_from_output", "add_request"):
            setattr(scheduler, name, inside.timed(getattr(scheduler, name)))
        return scheduler

    oracle._scheduler, oracle._request = inside.timed(wrapped), inside.timed(request)
    print("| KV tokens | max_num_seqs | policy | steps | s | steps per s | ours |")
    print("|--:|--:|:--|--:|--:|--:|--:|")
    for kv_tokens, seqs in CASES:
        w = kvolume.Workload.synthetic("azure2023_conv", n).poisson()
        w = w.at_load(0.9, kv_tokens, clock=parse_clock("linear"))
        for policy in ("vllm", "fair-svf"):
            inside.seconds = 0.0
            options = kvolume.ServingConfig(max_num_seqs=seqs)
            result = kvolume.simulate(w, policy, kv_tokens=kv_tokens, clock="linear", engine="vllm", serving=options,
                                      skip_oversized=True)  # fmt: skip
            ours = 1 - inside.seconds / result.wall_seconds
            worst = max(worst, ours)
            print(
                f"| {kv_tokens} | {seqs} | {policy} | {result.served.steps} | {result.wall_seconds:.1f} | "
                f"{result.served.steps / result.wall_seconds:,.0f} | {ours:.1%} |", flush=True,
            )  # fmt: skip
    return worst > 0.05


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:2])))

"""How loose the lower bounds are: the optimum of small instances over each bound, as a Markdown table.

Run: python benchmarks/bound_gap.py [instances=60]      (needs the extra `optimum`; only proven optima count)
Prompts 0..6, outputs 1..8, 8 requests, budget 1 to 3 times the largest peak; a burst, or Poisson arrivals.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import numpy as np

import kvolume

KINDS = ("mean busy time", "prefix", "lp")


def instance(rng: np.random.Generator, load: float | None) -> tuple[kvolume.Workload, int]:
    s, o = rng.integers(0, 7, 8), rng.integers(1, 9, 8)
    kv_tokens = int((s + o).max() * rng.uniform(1, 3))
    burst = kvolume.Workload([0] * 8, s, o)
    if load is None:
        return burst, kv_tokens
    gaps = rng.exponential(burst.volumes().mean() / kv_tokens / load, 8)
    return burst.with_arrivals(np.floor(np.cumsum(gaps) - gaps[0]).astype(np.int64)), kv_tokens


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the solver's library prints of its own accord on stdout."""
    sys.stdout.flush()
    out = os.dup(1)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(out, 1)
        os.close(out)


def main(count: int) -> int:
    over = " | ".join(f"optimum / {k}: mean, worst" for k in KINDS)
    print(f"| arrivals | instances | {over} | svf / optimum: mean, worst |")
    print("|:--|--:|--:|--:|--:|--:|")
    for load in (None, 0.6, 1.0, 1.5):
        rng = np.random.default_rng(0)
        ratios: dict[str, list[float]] = {k: [] for k in (*KINDS, "svf")}
        for _ in range(count):
            w, kv_tokens = instance(rng, load)
            with quiet():
                best = kvolume.optimum(w, kv_tokens)
            if not best.proven:
                continue
            for kind in KINDS:
                if kind != "prefix" or load is None:
                    ratios[kind].append(best.total_latency / kvolume.lower_bound(w, kv_tokens, kind=kind).total_latency)
            ratios["svf"].append(kvolume.simulate(w, "svf", kv_tokens=kv_tokens).total_latency / best.total_latency)
        cells = [f"{np.mean(r):.3f}, {max(r):.3f}" if r else "–" for r in ratios.values()]
        arrivals = "burst" if load is None else f"load {load}"
        print(f"| {arrivals} | {len(ratios['svf'])} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))

"""How loose the lower bounds are, as Markdown tables.

Run: python benchmarks/bound_gap.py [instances=60]      (needs the extra `optimum`; only proven optima count)
  The optimum of small instances over each bound. Prompts 0..6, outputs 1..8, 8 requests, budget 1 to 3 times the
  largest peak; a burst, or Poisson arrivals.
Run: python benchmarks/bound_gap.py workloads [requests=20000]
  Mean latency of svf over both bounds, for the built-in workloads, near load 1.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import numpy as np

import kvolume
import loads
from kvolume.workload.synthetic import names

KINDS = ("mean busy time", "price", "prefix", "lp")
LOADS = (0.9, 1.0, 1.2)


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


def workloads(n: int) -> int:
    """svf over the mean-busy-time bound and over the tight one, and how much of the gap that closes."""
    print("| workload | " + " | ".join(f"load {load}: fast | tight | gap closed" for load in LOADS) + " |")
    print("|:--|" + "--:|" * (3 * len(LOADS)))
    for name in names():
        cells = []
        for load in LOADS:
            made = kvolume.compare(
                name, "svf", num_prompts=n, load=load, kv_tokens=loads.budget(name), bound="tight"
            )
            svf = made.rows[0]["mean_latency"]
            fast, tight = svf / made.bound.mean_latency, svf / made.tight.mean_latency
            cells += [f"{fast:.3f}", f"{tight:.3f}", f"{(fast - tight) / (fast - 1):.0%}" if fast > 1 else "–"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return 0


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
    if sys.argv[1:2] == ["workloads"]:
        raise SystemExit(workloads(int(sys.argv[2]) if len(sys.argv) > 2 else 20_000))
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))

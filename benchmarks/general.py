"""Requests per second of the general kernel beside the look-ahead kernel, on the same requests, as a Markdown table.

Run: python benchmarks/general.py [requests=50000]
Look-ahead with exact lengths and greedy admission have kernels of their own in unit rounds; the general one serves
backfilling, the linear clock and all else.
Best of five, in one process; the ratio is to svf in the same row.
"""

from __future__ import annotations

import sys

import numpy as np

import kvolume
from kernel import make

RUNS = (
    ("svf", "unit"),
    ("svf:backfill=1", "unit"),
    ("svf:admission=greedy", "unit"),
    ("vllm", "unit"),
    ("svf", "linear"),
)
CASES = ((100_000, 1.2), (1_048_576, 1.2), (8_388_608, 1.2))


def main(n: int) -> int:
    titles = (policy + ("" if clock == "unit" else ", linear clock") for policy, clock in RUNS)
    print("| KV tokens | running | " + " | ".join(titles) + " |")
    print("|--:|--:|" + "--:|" * len(RUNS))
    for kv_tokens, load in CASES:
        a, s, o = make(n, kv_tokens, load)
        speeds = []
        running = 0.0
        for policy, clock in RUNS:
            w = kvolume.Workload(None, s, o, arrival_s=a * 0.03)
            results = [kvolume.simulate(w, policy, kv_tokens=kv_tokens, clock=clock) for _ in range(5)]
            best = min(results, key=lambda r: r.wall_seconds)
            speeds.append(n / best.wall_seconds)
            if policy == "svf" and clock == "unit":
                stay = np.rint((best.finish - best.start) / 0.03)
                running = float(stay.sum() / ((best.finish.max() - best.start.min()) / 0.03))
        cells = [f"{x / 1e3:,.0f} k/s" + (f" ({x / speeds[0]:.2f})" if k else "") for k, x in enumerate(speeds)]
        print(f"| {kv_tokens:,} | {running:,.0f} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))

"""The policies that plan by themselves: seconds for 100,000 requests, and what they are worth with arrivals over time.

Run: python benchmarks/stages.py speed       (seconds of the compiled engine; target: under 5 each)
     python benchmarks/stages.py practice    (mean latency beside svf and vllm, as a Markdown table)
     python benchmarks/stages.py rates       (WAIT by load: the waiting, the cap, estimated rates)
     python benchmarks/stages.py single      (the WAIT paper's own setting: one type, its linear clock, by rate)
"""

from __future__ import annotations

import sys

import numpy as np

import kvolume
from kvolume.clock import parse_clock
from kvolume.engine.instance import prepare
from kvolume.policy import parse

SOURCES = ("sharegpt8k_lengths", "azure2023_code", "arxiv_summarization_lengths")
FAST = ("gsa", "gsa-spec", "gba", "gba-d", "wait", "nested-wait", "wait:waits=0", "nested-wait:waits=0", "a-min")
PRACTICE = (
    "vllm", "svf", "gsa", "gsa-spec", "gba", "gba-d", "wait", "wait:waits=0", "nested-wait:prompt=mean",
    "nested-wait:prompt=mean,waits=0", "a-min",
)  # fmt: skip
SETTINGS = (("burst", "unit"), ("0.5", "unit"), ("0.9", "unit"), ("0.5", "linear"), ("0.9", "linear"))
SINGLE = ("wait", "wait:waits=0", "nested-wait", "vllm", "fcfs", "gsa", "gba-d")
VARIANTS = ("wait", "wait:block=1000", "wait:rates=estimated", "wait:types=2", "wait:types=32", "wait:waits=0")


def run(source: str, policies: tuple[str, ...], n: int, load: str, clock: str) -> kvolume.Comparison:
    when = {"burst": True} if load == "burst" else {"load": float(load)}
    return kvolume.compare(source, policies, num_prompts=n, clock=clock, **when)


def text(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def speed() -> int:
    print("| policy | " + " | ".join(f"{s}, {load}" for s in SOURCES[:2] for load in ("0.9", "burst")) + " |")
    print("|:--|" + "--:|" * 4)
    worst = 0.0
    for policy in FAST:
        seconds = [
            min(run(s, (policy,), 100_000, load, "unit").results[0].wall_seconds for _ in range(2))
            for s in SOURCES[:2]
            for load in ("0.9", "burst")
        ]
        worst = max(worst, *seconds)
        print(f"| `{policy}` | " + " | ".join(f"{x:.2f}" for x in seconds) + " |", flush=True)
    return 0 if worst < 5 else 1


def practice() -> int:
    titles = [f"{'burst' if load == 'burst' else 'load ' + load}, {clock} clock" for load, clock in SETTINGS]
    print("| workload | policy | " + " | ".join(titles) + " |")
    print("|:--|:--|" + "--:|" * len(SETTINGS))
    for source in SOURCES:
        means = np.array([
            [row["mean_latency"] for row in run(source, PRACTICE, 20_000, *setting).rows] for setting in SETTINGS
        ])  # fmt: skip
        for policy, row in zip(PRACTICE, means.T.tolist(), strict=True):
            print(f"| {source if policy == PRACTICE[0] else ''} | `{policy}` | " + " | ".join(map(text, row)) + " |")
    return 0


def single() -> int:
    """p512d20: l = 512, d = 20, so that s = 511, o = 21; C = 137,000; d0 and d1 of the paper's equilibria."""
    d0 = 298.8381 / 21 / 522
    clock = f"linear:base={d0},kv_token={3.78368e-5 * d0}"
    print("| arrivals a second | n | " + " | ".join(f"`{p}`" for p in SINGLE) + " |")
    print("|--:|--:|" + "--:|" * len(SINGLE))
    for rate in (5, 20, 50, 60, 70, 74, 80):
        w = workload(rate)
        row = [mean(w, p, clock) for p in SINGLE]
        n = prepare(w, parse("wait"), 137_000, parse_clock(clock)).policy.groups.n[0, 0]
        print(f"| {rate} | {n} | " + " | ".join(map(text, row)) + " |", flush=True)
    return 0


def workload(rate: float) -> kvolume.Workload:
    times = np.cumsum(np.random.default_rng(0).exponential(1 / rate, 20_000))
    return kvolume.Workload(None, np.full(times.size, 511), np.full(times.size, 21), arrival_s=times, name="p512d20")


def mean(w: kvolume.Workload, policy: str, clock: str) -> float:
    return float(kvolume.simulate(w, policy, kv_tokens=137_000, clock=clock).latency.mean())


def rates() -> int:
    loads = ("0.1", "0.3", "0.5", "0.7", "0.9", "1.1")
    print("| policy | " + " | ".join(f"load {load}" for load in loads) + " |")
    print("|:--|" + "--:|" * len(loads))
    runs = [run(SOURCES[0], (*VARIANTS, "vllm"), 20_000, load, "linear") for load in loads]
    columns = [[row["mean_latency"] for row in each.rows] for each in runs]
    for policy, row in zip((*VARIANTS, "vllm"), np.array(columns).T.tolist(), strict=True):
        print(f"| `{policy}` | " + " | ".join(map(text, row)) + " |")
    return 0


if __name__ == "__main__":
    modes = {"speed": speed, "practice": practice, "rates": rates, "single": single}
    raise SystemExit(modes[sys.argv[1] if sys.argv[1:] else "speed"]())

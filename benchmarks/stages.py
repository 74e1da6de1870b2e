"""The policies that plan by themselves: seconds for 100,000 requests, and what they are worth with arrivals over time.

Run: python benchmarks/stages.py speed       (seconds of the compiled engine; target: under 5 each)
     python benchmarks/stages.py practice    (mean latency beside svf and vllm, as a Markdown table)
     python benchmarks/stages.py rates       (WAIT by load: the waiting, the cap, estimated rates)
"""

from __future__ import annotations

import sys

import numpy as np

import kvolume

SOURCES = ("sharegpt8k_lengths", "azure2023_code", "arxiv_summarization_lengths")
FAST = ("gsa", "gsa-spec", "gba", "gba-d", "wait", "nested-wait", "wait:waits=0", "nested-wait:waits=0", "a-min")
PRACTICE = (
    "vllm", "svf", "gsa", "gsa-spec", "gba", "gba-d", "wait", "wait:waits=0", "nested-wait:prompt=mean",
    "nested-wait:prompt=mean,waits=0", "a-min",
)  # fmt: skip
SETTINGS = (("burst", "unit"), ("0.5", "unit"), ("0.9", "unit"), ("0.5", "linear"), ("0.9", "linear"))
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


def rates() -> int:
    loads = ("0.1", "0.3", "0.5", "0.7", "0.9", "1.1")
    print("| policy | " + " | ".join(f"load {load}" for load in loads) + " |")
    print("|:--|" + "--:|" * len(loads))
    columns = [[r["mean_latency"] for r in run(SOURCES[0], (*VARIANTS, "vllm"), 20_000, x, "linear").rows] for x in loads]
    for policy, row in zip((*VARIANTS, "vllm"), np.array(columns).T.tolist(), strict=True):
        print(f"| `{policy}` | " + " | ".join(map(text, row)) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit({"speed": speed, "practice": practice, "rates": rates}[sys.argv[1] if sys.argv[1:] else "speed"]())

"""The front of mean against P99.9 near load 1: which policy is near svf in the mean and near fcfs in the tail?

Run: python benchmarks/front.py [requests=20000]                        (Markdown tables on stdout)
     python benchmarks/front.py chart docs/front.svg [requests=20000]   (geometric means over the workloads)
     python benchmarks/front.py traces FOLDER [requests=20000]          (the same tables for real logs, *.parquet)
     python benchmarks/front.py waits [requests=20000]                  (who waits for whom: why P99 rises)
Poisson arrivals, exact lengths, unit rounds. Mean latency over that of svf, P99.9 over that of fcfs, on the same
requests. The aim: at most 1.10 and 2.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import kvolume

LOADS = (0.9, 0.97, 1.03, 1.1)
SHOWN = ("svf", "svf:aging=log,kappa=10", "svf:share=0.3", "easy-svf:share=0.2", "easy-svf", "easy-svf:share=0.4")
WORKLOADS = (
    "azure2023_code", "azure2023_conv", "sharegpt8k_lengths", "servegen_m_large", "servegen_m_mid",
    "arxiv_summarization_lengths", "apex_creation_lengths", "mooncake_conversation",
)  # fmt: skip
TRACES = (
    "azure2023_code", "azure2023_conv", "sharegpt8k_lengths", "servegen_m_large", "arxiv_summarization_lengths",
    "mooncake_conversation",
)  # fmt: skip
FAMILIES = {
    "svf:share": ("svf:share={}", (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)),
    "easy-svf:share": ("easy-svf:share={}", (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)),
    "svf:aging=log": ("svf:aging=log,kappa={}", (1, 3, 10, 30, 100)),
    "svf:aging=linear": ("svf:aging=linear,phi={}", (0.3, 0.1, 0.03, 0.01, 0.003)),
}


def requests(source: str, n: int, load: float) -> tuple[kvolume.Workload, int]:
    """Poisson arrivals at this load; the budget that the workload needs."""
    name = Path(source).stem
    kv_tokens = 524_288 if name.startswith("mooncake") else 131_072
    lengths = kvolume.Workload.synthetic(name, n) if name == source else drawn(source, n)
    return lengths.poisson(seed=1).at_load(load, kv_tokens), kv_tokens


def drawn(path: str, n: int) -> kvolume.Workload:
    """`n` requests of a log, with replacement."""
    w = kvolume.Workload.read(path)
    rows = np.random.default_rng(0).integers(0, len(w), n)
    return kvolume.Workload(np.zeros(n, np.int64), w.prompt_tokens[rows], w.output_tokens[rows])


def mean_and_tail(w: kvolume.Workload, policy: str, kv_tokens: int) -> np.ndarray:
    latency = kvolume.simulate(w, policy, kv_tokens=kv_tokens).latency
    return np.array([latency.mean(), np.percentile(latency, 99.9)])


def ratios(w: kvolume.Workload, policies: list[str], kv_tokens: int) -> np.ndarray:
    """Mean over that of svf, P99.9 over that of fcfs, for each policy. Shape (policies, 2)."""
    base = np.array([mean_and_tail(w, "svf", kv_tokens)[0], mean_and_tail(w, "fcfs", kv_tokens)[1]])
    return np.array([mean_and_tail(w, p, kv_tokens) for p in policies]) / base


def tables(sources: list[str], n: int) -> None:
    for load in LOADS:
        print(f"### Load {load}\n")
        print("| workload | " + " | ".join(f"`{p}`" for p in SHOWN) + " |")
        print("|:--|" + "--:|" * len(SHOWN))
        reached = np.zeros(len(SHOWN), int)
        for source in sources:
            w, kv_tokens = requests(source, n, load)
            table = ratios(w, list(SHOWN), kv_tokens)
            aim = (table[:, 0] <= 1.1) & (table[:, 1] <= 2)
            reached += aim
            cells = [f"{m:.2f}, {t:.2f}" for m, t in table]
            cells = [f"**{cell}**" if ok else cell for cell, ok in zip(cells, aim, strict=True)]
            print(f"| {Path(source).stem} | " + " | ".join(cells) + " |", flush=True)
        print("| reach the aim | " + " | ".join(f"{k} of {len(sources)}" for k in reached) + " |\n")


def waits(n: int) -> None:
    """Waiting weighted by volume is the same under all policies; who does it is not."""
    print("| workload, load | policy | mean | P99 | wait by volume | above P99 of fcfs | of volume | their mean |")
    print("|:--|:--|--:|--:|--:|--:|--:|--:|")
    for name, load in (("sharegpt8k_lengths", 0.97), ("servegen_m_large", 0.97), ("sharegpt8k_lengths", 1.03)):
        w, kv_tokens = requests(name, n, load)
        w = w.with_arrivals(w.arrival_ticks())
        v, slow_from, head = w.volumes(), np.inf, f"{name}, {load}"
        for policy in ("fcfs", "svf:share=0.5", "svf:share=0.3", "svf:share=0.1", "svf", "easy-svf"):
            result = kvolume.simulate(w, policy, kv_tokens=kv_tokens)
            latency, p99 = result.latency, np.percentile(result.latency, 99)
            slow_from = min(slow_from, p99) if policy == "fcfs" else slow_from
            slow = latency > slow_from
            by_volume = np.average(result.start - result.arrival, weights=v)
            cells = (f"{latency.mean():,.0f}", f"{p99:,.0f}", f"{by_volume:,.0f}", f"{slow.mean():.2%}",
                     f"{v[slow].sum() / v.sum():.1%}", f"{latency[slow].mean():,.0f}")  # fmt: skip
            print(f"| {head} | `{policy}` | " + " | ".join(cells) + " |")
            head = ""


def chart(path: Path, n: int) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "kvolume"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4), constrained_layout=True)
    markers = "os^D"
    for ax, load in zip(axes, (0.97, 1.03), strict=True):
        made = [requests(source, n, load) for source in WORKLOADS]
        for (label, (form, values)), marker in zip(FAMILIES.items(), markers, strict=True):
            policies = [form.format(v) for v in values]
            logs = [np.log(ratios(w, policies, kv_tokens)) for w, kv_tokens in made]
            mean, tail = np.exp(np.mean(logs, axis=0)).T
            ax.plot(mean, tail, marker=marker, markersize=4, linewidth=1, label=label)
        ax.fill_between([0.9, 1.1], 0.5, 2, color="0.9", zorder=0, label="the aim")
        ax.set(xlabel="mean latency, times svf", title=f"load {load}", xscale="log", yscale="log")
        ax.set(xlim=(0.98, 1.55 if load < 1 else 3.5), ylim=(0.9, 2.5 if load < 1 else 6))
        for axis, ticks in ((ax.xaxis, (1, 1.1, 1.2, 1.5, 2, 3)), (ax.yaxis, (1, 1.5, 2, 3, 4, 5))):
            axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    axes[0].set_ylabel("P99.9, times fcfs")
    axes[1].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["chart"]:
        chart(Path(arguments[1]), int(arguments[2]) if len(arguments) > 2 else 20_000)
    elif arguments[:1] == ["waits"]:
        waits(int(arguments[1]) if len(arguments) > 1 else 20_000)
    elif arguments[:1] == ["traces"]:
        logs = [str(Path(arguments[1]) / f"{name}.parquet") for name in TRACES]
        tables(logs, int(arguments[2]) if len(arguments) > 2 else 20_000)
    else:
        tables(list(WORKLOADS), int(arguments[0]) if arguments else 20_000)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""The engines as single servers, beside the formulas of queueing theory, as a Markdown table.

Run: python benchmarks/queueing.py [requests=50000] [seeds=10]
One request at a time (max_num_seqs=1; in rounds, prompts of half the cache), prefill at no cost: a service takes as
many steps as there are output tokens. Mean waits, in steps, with Student's 99 % interval over the seeds; the first
tenth of the requests warms up.
Geo/G/1: Bernoulli arrivals, at most one a step, W = p E[S(S-1)] / (2 (1 - rho)); by size without preemption
W_k = p E[S(S-1)] / (2 (1 - s_{k-1}) (1 - s_k)), s_k the load of the sizes up to k (Cobham 1954, Phipps 1956).
M/G/1: Poisson arrivals in continuous time, the same with E[S^2] in place of E[S(S-1)] (Pollaczek, Khinchine).
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

import kvolume
from kvolume.study.interval import interval

Ints = npt.NDArray[np.int64]
STEP_S = 1e-3
MOST = 4096  # tokens of the longest service


def pools() -> dict[str, Ints]:
    """Service times to draw from, each as often as it stands here."""
    rng = np.random.default_rng(0)
    return {
        "always 20": np.full(1, 20),
        "geometric, mean 20": np.minimum(rng.geometric(1 / 20, 100_000), MOST),
        "outputs of azure2023_conv": np.minimum(kvolume.Workload.synthetic("azure2023_conv").output_tokens, MOST),
    }


def mean_wait(pool: Ints, rate: float, moment: float, *, by_size: bool) -> float:
    """Steps that a request waits on average, by the formula; `moment` is E[S(S-1)] or E[S^2]."""
    if not by_size:
        return float(rate * moment / (2 * (1 - rate * pool.mean())))
    sizes, counts = np.unique(pool, return_counts=True)
    share = counts / pool.size
    upto = np.cumsum(rate * share * sizes)
    below = upto - rate * share * sizes
    return float((share * rate * moment / (2 * (1 - below) * (1 - upto))).sum())


def measured(system: str, pool: Ints, load: float, policy: str, n: int, seed: int) -> float:
    """Mean wait in steps of one run."""
    rng = np.random.default_rng(seed)
    output, rate = rng.choice(pool, n), load / pool.mean()
    if system == "M/G/1, serving":
        arrival_s = np.cumsum(rng.exponential(STEP_S / rate, n))
        w = kvolume.Workload(None, np.ones(n, np.int64), output, arrival_s=arrival_s)
        clock = f"linear:base={STEP_S:g}"
        result = kvolume.simulate(w, policy, kv_tokens=1 << 20, clock=clock, engine="serving", serving="max_num_seqs=1")
        wait = (result.start - result.arrival) / STEP_S
    else:
        arrival = np.cumsum(rng.geometric(rate, n))
        engine, prompt = ("serving", 1) if system == "Geo/G/1, serving" else ("leap", MOST)
        w = kvolume.Workload(arrival, np.full(n, prompt), output)
        options = {"serving": "max_num_seqs=1"} if engine == "serving" else {}
        tokens = 2 * MOST if engine == "leap" else 1 << 20
        wait = (r := kvolume.simulate(w, policy, kv_tokens=tokens, engine=engine, **options)).start - r.arrival
    return float(wait[n // 10 :].mean())


SYSTEMS: dict[str, Callable[[Ints], float]] = {
    "Geo/G/1, rounds": lambda pool: float((pool * (pool - 1.0)).mean()),
    "Geo/G/1, serving": lambda pool: float((pool * (pool - 1.0)).mean()),
    "M/G/1, serving": lambda pool: float((pool * 1.0 * pool).mean()),
}


def main(n: int, seeds: int) -> int:
    print("| system | services | load | order | formula | measured | inside |")
    print("|:--|:--|--:|:--|--:|--:|:--|")
    inside = []
    for system, moment in SYSTEMS.items():
        for name, pool in pools().items():
            for load in (0.5, 0.8):
                for policy in ("fcfs", "sjf")[: 1 if name.startswith("always") else 2]:
                    expected = mean_wait(pool, load / pool.mean(), moment(pool), by_size=policy == "sjf")
                    got = interval([measured(system, pool, load, policy, n, seed) for seed in range(seeds)], 0.99)
                    assert got.half is not None
                    inside.append(abs(got.mean - expected) <= got.half)
                    numbers = f"{expected:.2f} | {got.mean:.2f} ± {got.half:.2f} | {'yes' if inside[-1] else 'no'}"
                    print(f"| {system} | {name} | {load} | {policy} | {numbers} |", flush=True)
    print(f"\n{sum(inside)} of {len(inside)} inside their 99 % intervals", file=sys.stderr)
    return 0 if sum(inside) >= len(inside) - 1 else 1


if __name__ == "__main__":
    given = [int(x) for x in sys.argv[1:]]
    raise SystemExit(main(*(given + [50_000, 10][len(given) :])))

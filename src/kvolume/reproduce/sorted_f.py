"""Sorted-F, arXiv 2508.06133: unequal prompts, against the orders of the linear relaxation and of volumes."""

from __future__ import annotations

import numpy as np

from kvolume.bound import tightest
from kvolume.engine import simulate
from kvolume.reproduce.exact import tiny_optimum
from kvolume.reproduce.experiment import Options, Outcome, Row
from kvolume.workload import Workload

PAPER = "Sorted-F, arXiv 2508.06133"
TRIALS, SMALL, LARGE, BUDGET = 20, 9, 300, 16_384
POLICIES = {"Sorted-F": "sorted-f", "Sorted-LP": "sorted-lp", "LP-swap": "lp-swap", "SVF": "svf", "MC-SF": "mc-sf",
            "FCFS": "fcfs"}  # fmt: skip
NOTE = (
    "The paper's guarantee, 48 in the limit of large memory, is beside Sorted-F; the numbers of its experiments "
    "are not known here. Small: from the mean to the worst ratio to the exact optimum. Large: half short prompts "
    "(LMSYS), half long ones (lognormal, 1,500 tokens on average), times the lower bound; the two that need the "
    "relaxation are left out."
)


def small_instance(rng: np.random.Generator) -> tuple[Workload, int]:
    """A burst of a few requests with unequal prompts, whose optimum is found exactly."""
    s, o = rng.integers(0, 13, SMALL), rng.integers(1, 11, SMALL)
    return Workload(np.zeros(SMALL, np.int64), s, o), int((s + o).max()) + int(rng.integers(4, 25))


def large_instance(seed: int) -> Workload:
    """A burst of short and of long prompts."""
    short = Workload.synthetic("lmsys_words_100k", LARGE // 2, seed)
    rng = np.random.default_rng([seed, 6])
    s = np.clip(rng.lognormal(np.log(1500) - 0.32, 0.8, LARGE // 2), 100, 8000).astype(np.int64)
    o = np.clip(rng.lognormal(np.log(100) - 0.5, 1, LARGE // 2), 1, 1000).astype(np.int64)
    mixed = rng.permutation(LARGE)
    s, o = np.concatenate((short.prompt_tokens, s))[mixed], np.concatenate((short.output_tokens, o))[mixed]
    return Workload(np.zeros(LARGE, np.int64), s, o)


def compared(options: Options) -> Outcome:
    """Small instances against the optimum, a large one against the bound."""
    trials = options.trials or TRIALS
    ratios: dict[str, list[float]] = {name: [] for name in POLICIES}
    for trial in range(trials):
        options.tell("sorted-f: small instances", trial, trials)
        w, m = small_instance(np.random.default_rng([options.seed, trial]))
        solved = tiny_optimum(w.arrival_ticks(), w.prompt_tokens, w.output_tokens, m)
        assert solved is not None
        for name, policy in POLICIES.items():
            ratios[name].append(float(simulate(w, policy, kv_tokens=m).latency.sum()) / solved[0])
    rows = [Row(f"small: {name} over the optimum", 48 if name == "Sorted-F" else None, (float(np.mean(r)), max(r)))
            for name, r in ratios.items()]  # fmt: skip
    w = large_instance(options.seed)
    bound = tightest(w, BUDGET).total_latency
    rows += [
        Row(f"large: {name} over the bound", None, float(simulate(w, policy, kv_tokens=BUDGET).latency.sum()) / bound)
        for name, policy in POLICIES.items() if policy not in ("sorted-lp", "lp-swap")
    ]  # fmt: skip
    return Outcome(
        "sorted-f", "Sorted-F on unequal prompts", PAPER,
        {"trials": f"{trials} of {SMALL} requests", "large": f"{LARGE} requests, M = {BUDGET:,}", "seed": options.seed},
        tuple(rows), (NOTE,),
    )  # fmt: skip

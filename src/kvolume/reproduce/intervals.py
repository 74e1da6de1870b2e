"""A-max and A-min, arXiv 2508.14544: only an interval around each output length is known."""

from __future__ import annotations

import numpy as np

from kvolume.bound.ratios import a_max_ratio
from kvolume.engine import simulate
from kvolume.reproduce.experiment import Curves, Options, Outcome, Row
from kvolume.reproduce.gsa import PROMPT, lmsys_instance
from kvolume.workload import Workload

PAPER = "A-min, arXiv 2508.14544"
WIDTHS = (1, 2, 4, 8, 16, 64, 256)
N, BUDGET = 600, 4096
POLICIES = {"A-min": "a-min", "A-max": "a-max"}
NOTE = (
    "The paper shows figures; no numbers of them are known here. Published for A-max: its ratio (1/a)(1 + 1/a)/2, "
    "a = l/u, in the limit of large memory; it is 1 at l = u, so it can only be meant against MC-SF that knows "
    "the lengths, not against the optimum (docs, guarantees), and so ours is. For A-min only O(log(u/l)) is "
    "proven. Each output lies at a random place in its interval, evenly in the logarithm."
)


def known_within(w: Workload, width: float, seed: int) -> Workload:
    """The same requests, of whose outputs only intervals of u/l = `width` are known (less where they do not fit)."""
    place = np.random.default_rng([seed, 5]).random(len(w))
    o = w.output_tokens
    lower = np.maximum(1, np.floor(o / width**place)).astype(np.int64)
    upper = np.minimum(np.ceil(o * width ** (1 - place)), BUDGET - w.prompt_tokens).astype(np.int64)
    return Workload(w.arrival, w.prompt_tokens, o, lower=lower, upper=upper, predicted=o)


def intervals(options: Options) -> Outcome:
    """Mean latency over that of MC-SF with exact lengths, against the width of the intervals."""
    lines: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in POLICIES}
    rows = []
    exact = lmsys_instance(N, False, options.seed)
    known = float(simulate(exact, "mc-sf", kv_tokens=BUDGET).latency.sum())
    for k, width in enumerate(WIDTHS):
        options.tell("amin-intervals", k, len(WIDTHS))
        w = known_within(exact, width, options.seed)
        for name, policy in POLICIES.items():
            ratio = float(simulate(w, policy, kv_tokens=BUDGET).latency.sum()) / known
            lines[name][0].append(width)
            lines[name][1].append(ratio)
            proven = a_max_ratio(1 / width) if name == "A-max" else None
            rows.append(Row(f"u/l = {width}: {name} over MC-SF with exact lengths", proven, ratio))
    return Outcome(
        "amin-intervals", "Only an interval of each output is known", PAPER,
        {"requests": N, "prompt": PROMPT, "M": f"{BUDGET:,}", "seed": options.seed, "lengths": "LMSYS (in words)"},
        tuple(rows), (NOTE,), Curves("u/l", "mean latency over that of MC-SF with exact lengths", lines, log_x=True),
    )  # fmt: skip

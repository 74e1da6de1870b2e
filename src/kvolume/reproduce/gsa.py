"""GSA and GBA, arXiv 2601.22996: the trap instance, and the experiment on LMSYS lengths."""

from __future__ import annotations

import numpy as np

from kvolume.engine import simulate
from kvolume.reproduce.experiment import Options, Outcome, Row
from kvolume.workload import Workload

PAPER = "GSA, arXiv 2601.22996"
TRAP = {"fcfs": 185_892, "sjf": 13_448, "svf": 13_448}


def trap_instance() -> tuple[Workload, int]:
    """s = 96, M = 256: six requests of 160 tokens, then 194 of one token, in that order."""
    return Workload(np.zeros(200, np.int64), np.full(200, 96), [160] * 6 + [1] * 194), 256


def trap(options: Options) -> Outcome:
    """The sums of latencies on the trap instance, which can be derived by hand."""
    w, m = trap_instance()
    rows = [Row(f"{p}: sum of latencies", known, int(simulate(w, p, kv_tokens=m).latency.sum()))
            for p, known in TRAP.items()]  # fmt: skip
    return Outcome(
        "gsa-trap", "The instance that is bad for the non-clairvoyant", PAPER,
        {"s": 96, "M": m, "outputs": "6 of 160, then 194 of 1"}, tuple(rows),
        ("The numbers in the column 'published' are derived by hand from the paper's instance.",),
    )  # fmt: skip

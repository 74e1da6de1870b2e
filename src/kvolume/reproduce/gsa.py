"""GSA and GBA, arXiv 2601.22996: the trap instance, and the experiment on LMSYS lengths."""

from __future__ import annotations

import numpy as np

from kvolume.bound import tightest
from kvolume.engine import simulate
from kvolume.reproduce.experiment import Curves, Options, Outcome, Row
from kvolume.workload import Workload

PAPER = "GSA, arXiv 2601.22996"
TRAP = {"fcfs": 185_892, "gsa:alpha=2,tau0=1": 22_262, "gba": 13_448, "sjf": 13_448, "svf": 13_448}
LMSYS_NOTE = (
    "The paper shows figures; no numbers of them are known here. Lengths are drawn from published quantiles (in "
    "words). On one prompt length MC-SF is SVF; GBA and GBA-D are below it since a staggered pipeline keeps the memory "
    "full where equal requests that start together leave half of it empty on average. The chart is for M = 4,096 and "
    "powers of two."
)
PROMPT, SIZES, BUDGETS = 79, (100, 200, 400, 600, 800, 1000), (4096, 8192)


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


def lmsys_instance(n: int, powers: bool, seed: int) -> Workload:
    """A burst of first replies, prompts of 79 tokens, lengths as they are or rounded up to powers of two."""
    o = Workload.synthetic("lmsys_words_100k", n, seed).output_tokens
    o = 2 ** np.ceil(np.log2(o)).astype(np.int64) if powers else o
    return Workload(np.zeros(n, np.int64), np.full(n, PROMPT), o)


def policies(powers: bool) -> dict[str, str]:
    """The paper's policies with its parameters, by the names that its figures give them."""
    first = 64 if powers else 256
    return {
        "GSA": f"gsa:alpha=2,tau0={first}", "GSA-Spec": f"gsa-spec:alpha=2,tau0={first}",
        "GBA": f"gba:alpha=2,beta={first}", "GBA-D": f"gba-d:alpha=2,beta={first}",
        "MC-SF": "mc-sf", "FCFS that kills": "vllm:keep=0",
    }  # fmt: skip


def lmsys(options: Options) -> Outcome:
    """Mean latency over the bound against the number of requests."""
    lines: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in policies(True)}
    rows = []
    for powers in (True, False):
        for m in BUDGETS:
            for n in SIZES:
                options.tell("gsa-lmsys", SIZES.index(n), len(SIZES))
                w = lmsys_instance(n, powers, options.seed)
                bound = tightest(w, m).total_latency
                for name, policy in policies(powers).items():
                    ratio = float(simulate(w, policy, kv_tokens=m).latency.sum()) / bound
                    if powers and m == BUDGETS[0]:
                        lines[name][0].append(n)
                        lines[name][1].append(ratio)
                    if n == SIZES[-1]:
                        lengths = "powers of two" if powers else "raw"
                        rows.append(Row(f"M = {m:,}, {lengths}, n = {n:,}: {name}, times the bound", None, ratio))
    return Outcome(
        "gsa-lmsys", "A burst of LMSYS replies, prompts of 79 tokens", f"{PAPER}, experiments",
        {"n": "100 to 1,000", "M": "4,096 and 8,192", "alpha": 2, "tau0 and beta": "64 (powers of two), 256 (raw)",
         "seed": options.seed},
        tuple(rows),
        (LMSYS_NOTE,),
        Curves("requests", "mean latency, times the lower bound", lines),
    )  # fmt: skip

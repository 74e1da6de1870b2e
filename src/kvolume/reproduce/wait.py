"""WAIT, arXiv 2504.11320: the fluid memory, and the sustainable rates of one and of two types."""

from __future__ import annotations

import numpy as np

from kvolume.engine import Result, simulate
from kvolume.policy.fluid import equilibrium
from kvolume.reproduce.experiment import Options, Outcome, Row
from kvolume.workload import Workload

PAPER = "WAIT, arXiv 2504.11320"
FLUID = {50: 34_377, 60: 55_758, 70: 100_327, 80: 250_509}  # M* by rate
D0_WORK, D1_D0 = 298.8381, 3.78368e-5  # d0 w and d1/d0, which is all that M* depends on
CLOCK, BUDGET = "roofline:model=llama-2-7b,gpu=a100", 137_000
SYSTEMS = {
    "vLLM": ("vllm", "auto"),
    "Sarathi": ("vllm", "serving"),
    "WAIT": ("wait", "auto"),
}
N = 4000
DRAIN_S = 5.0  # a rate is sustained if the last request is done so many seconds after it comes
RATES = range(12, 31)
REASON = (
    "The paper's times are those of one A100; ours are a roofline of its data sheet, with Llama-2-7B and 137,000 KV "
    "tokens, so that all three meet the same limit, the prefill of 512 tokens a request, and hardly differ. vLLM: "
    "whole prompts, first come, first served; Sarathi: the serving engine, which prefills in chunks beside decodes. A "
    f"rate counts as sustained if the last of 4,000 Poisson arrivals is done {DRAIN_S:g} s after it comes; the paper "
    "does not say how it decides, nor how many requests its means are over, and near the limit a mean grows with "
    "them. WAIT knows the rates of the very workload that it serves."
)


def fluid(options: Options) -> Outcome:
    """M* of the fluid equilibrium at four rates."""
    rows = [
        Row(f"M* at {rate}/s, tokens", known, equilibrium([rate], [D0_WORK], 1.0, D1_D0).kv_tokens)
        for rate, known in FLUID.items()
    ]
    return Outcome("wait-fluid", "KV tokens that the fluid equilibrium holds", PAPER,
                   {"d0 w": D0_WORK, "d1/d0": D1_D0}, tuple(rows))  # fmt: skip


def arriving(types: dict[tuple[int, int], float], rate: float, n: int, seed: int) -> Workload:
    """Poisson arrivals of types (l, d) with these shares; they are our prompts of l - 1 and outputs of d + 1 tokens."""
    rng = np.random.default_rng([seed, 3])
    kinds = np.array(list(types))[rng.choice(len(types), n, p=list(types.values()))]
    times = np.cumsum(rng.exponential(1 / rate, n))
    return Workload(None, kinds[:, 0] - 1, kinds[:, 1] + 1, arrival_s=times - times[0])


def served(system: str, w: Workload) -> Result:
    """One system on a workload."""
    policy, engine = SYSTEMS[system]
    return simulate(w, policy, kv_tokens=BUDGET, clock=CLOCK, engine=engine)  # type: ignore[arg-type]


def sustained(system: str, types: dict[tuple[int, int], float], options: Options) -> int:
    """The largest whole rate at which no backlog is left."""
    best = 0
    for rate in RATES:
        options.tell(f"{system}: requests per second", rate, RATES[-1])
        w = arriving(types, rate, N, options.seed)
        r = served(system, w)
        if r.status != "finished" or float(r.finish.max() - r.arrival.max()) > DRAIN_S:
            break
        best = rate
    return best


def single(options: Options) -> Outcome:
    """One type, 512 prompt tokens and 20 decodes; and the latency of p512d1000."""
    short, long = {(512, 20): 1.0}, {(512, 1000): 1.0}
    rows = [
        Row(f"p512d20, {system}: sustained rate, per s", known, sustained(system, short, options))
        for system, known in (("vLLM", 19), ("Sarathi", 22), ("WAIT", 23))
    ]
    for label, types, rate, n, published in (
        ("p512d20 at 23/s", short, 23.0, N, (26.8, 5.1, 1.3)),
        ("p512d1000 at 4.5/s", long, 4.5, 1000, (53.8, 41.7, 32.3)),
    ):
        w = arriving(types, rate, n, options.seed)
        rows += [Row(f"{label}, {system}: mean latency, s", known, float(served(system, w).latency.mean()))
                 for system, known in zip(SYSTEMS, published, strict=True)]  # fmt: skip
    return Outcome(
        "wait-single", "WAIT on one type of request", PAPER,
        {"requests": f"{N:,}", "seed": options.seed, "clock": CLOCK, "KV tokens": f"{BUDGET:,}"},
        tuple(rows), (REASON,),
    )  # fmt: skip


def two_type(options: Options) -> Outcome:
    """0.7 of p512d20 and 0.3 of p512d50."""
    types = {(512, 20): 0.7, (512, 50): 0.3}
    rows = [
        Row(f"{system}: sustained rate, per s", known, sustained(system, types, options))
        for system, known in (("vLLM", 18), ("Sarathi", 21), ("WAIT", 22))
    ]
    return Outcome(
        "wait-two-type", "WAIT on two types: 70% p512d20, 30% p512d50", PAPER,
        {"requests": f"{N:,}", "seed": options.seed, "clock": CLOCK, "KV tokens": f"{BUDGET:,}"},
        tuple(rows), (REASON,),
    )  # fmt: skip

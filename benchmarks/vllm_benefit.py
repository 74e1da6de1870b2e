"""What the plug-in gains in vLLM's real scheduler, in simulated seconds: policies side by side on the same requests.

    python benchmarks/vllm_benefit.py [--requests 2000] [--loads 0.95 1.1] [--out FILE.json]

vLLM's scheduler and cache manager are the installed ones, with the plug-in or without; only the GPU is simulated: an
iteration takes what the roofline clock of --clock says, and the cache holds the tokens that fit beside the weights.
Requests end by themselves (a stop token), so that lengths can be learned; they are told exactly (`hints`), or not at
all (`none`: then there is one running mean, since these workloads name no clients). A Poisson stream comes at a load
times the rate at which stock vLLM starts requests in the middle of the burst.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"  # the simulated GPU has no positions to run out of

import numpy as np

from kvolume import Workload
from kvolume.clock import Clock, parse_clock
from kvolume.vllm import harness, priority
from kvolume.vllm.scheduler import Scheduler

LENGTHS = {"lmsys": "apex_lmsys_lengths", "longbench": "arxiv_summarization_lengths"}
BLOCK, STOP, LIMIT, LONGEST = 16, 255, 4096, 8192  # STOP: a token that the simulated model makes nowhere else
STOCK = "stock fcfs"
POLICIES: dict[str, dict[str, Any]] = {  # what `harness.make` is given; order by the plug-in, admission by vLLM
    STOCK: {},
    "stock priority = volume": {"queue_policy": "priority"},
    "sjf": {"settings": {"policy": "sjf:admission=greedy"}},
    "one-bit": {"settings": {"policy": "one-bit:admission=greedy"}},
    "svf": {"settings": {"policy": "svf:admission=greedy"}},
    "fair-svf (default)": {"settings": {}},
}
TELLS_NOTHING = (STOCK, "stock priority = volume", "one-bit")  # that need, or do not use, what a client says


class Run(NamedTuple):
    """One policy on one stream."""

    lengths: str
    arrivals: str
    told: str
    policy: str
    mean_s: float
    p99_s: float
    mean_per_token_s: float
    p95_per_token_s: float
    tokens_per_s: float
    preemptions: int


def simulate(policy: str, w: Workload, arrival: Any, told: bool, clock: Clock, seqs: int) -> tuple[Any, Any, Any]:
    """First admission and finish in seconds from the start, and the harness's trace."""
    s, o = w.prompt_tokens.tolist(), w.output_tokens.tolist()
    plain = harness.request

    def request(i: int, job: harness.Job, *more: Any) -> Any:
        made = plain(i, job, *more)
        made.max_tokens, made.sampling_params.stop_token_ids = LIMIT, [STOP]
        return made

    def token(request_id: str, position: int) -> int:
        return STOP if position == o[int(request_id)] else 7

    hints = [{"predicted_output_len": out} if told else {} for out in o]
    jobs = [
        harness.Job(s[i], o[i], int(arrival[i]), priority(s[i], o[i]) if "priority" in policy else 0, hints[i])
        for i in range(len(s))
    ]
    assert clock.kv_tokens is not None
    scheduler = harness.make(
        None if policy.startswith("stock") else Scheduler, kv_blocks=clock.kv_tokens // BLOCK, block=BLOCK,
        max_num_seqs=seqs, token_budget=8192, max_model_len=LONGEST, **POLICIES[policy],
    )  # fmt: skip
    patched = harness.request, harness.token
    harness.request, harness.token = request, token
    try:
        trace = harness.drive(scheduler, jobs, clock=clock, record=False)
    finally:
        harness.request, harness.token = patched
    assert [len(trace.made[str(i)]) for i in range(len(o))] == o
    order = range(len(s))
    first, finish = ([found[str(i)] for i in order] for found in (trace.first, trace.finish))
    return np.array(first) * clock.tick_s, np.array(finish) * clock.tick_s, trace


def measured(key: tuple[str, str, str, str], w: Workload, arrival_s: Any, finish: Any, trace: Any) -> Run:
    latency, o = finish - arrival_s, w.output_tokens
    return Run(
        *key, float(latency.mean()), float(np.percentile(latency, 99)), float((latency / o).mean()),
        float(np.percentile(latency / o, 95)), float(o.sum() / (finish.max() - arrival_s.min())), trace.preemptions,
    )  # fmt: skip


def table(runs: list[Run]) -> str:
    """Markdown; in brackets, the ratio to stock fcfs on the same requests."""
    titles = ("lengths", "arrivals", "told", "policy", "mean s", "P99 s", "mean s/token", "P95 s/token", "tokens/s",
              "preempted")  # fmt: skip
    stock = {r[:2]: r for r in runs if r.policy == STOCK}
    lines = [f"| {' | '.join(titles)} |", "|:--|:--|:--|:--|--:|--:|--:|--:|--:|--:|"]
    for r in runs:
        base = stock[r[:2]]
        cells = [f"{x:.3g} ({x / y:.2f})" for x, y in zip(r[4:8], base[4:8], strict=True)]
        told = "–" if r.policy == STOCK else r.told
        row = (r.lengths, r.arrivals, told, r.policy, *cells, f"{r.tokens_per_s:,.0f}", f"{r.preemptions}")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--loads", nargs="+", type=float, default=[0.95, 1.1])
    parser.add_argument("--lengths", nargs="+", choices=LENGTHS, default=list(LENGTHS))
    parser.add_argument("--clock", default="roofline:model=llama-3.1-8b,gpu=h100")
    parser.add_argument("--max-num-seqs", type=int, default=256)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    clock = parse_clock(args.clock)
    runs: list[Run] = []
    for name in args.lengths:
        w = Workload.synthetic(LENGTHS[name], args.requests, seed=0)
        rate = 0.0
        for load in (None, *args.loads):
            arrivals, arrival_s = "burst", np.zeros(args.requests)
            if load is not None:
                arrivals = f"load {load:g}"
                arrival_s = np.cumsum(np.random.default_rng(1).exponential(1 / (load * rate), args.requests))
            for told in ("hints", "none"):
                for policy in POLICIES:
                    if told == "none" and policy in TELLS_NOTHING:
                        continue
                    print(name, arrivals, told, policy, file=sys.stderr, flush=True)
                    ticks = clock.ticks(arrival_s)
                    first, finish, trace = simulate(policy, w, ticks, told == "hints", clock, args.max_num_seqs)
                    runs.append(measured((name, arrivals, told, policy), w, arrival_s, finish, trace))
                    if not rate:  # of starts in the middle half of stock's burst
                        a, b = np.quantile(first, (0.25, 0.75))
                        rate = float(((first > a) & (first <= b)).sum() / (b - a))
    print(table(runs))
    if args.out:
        args.out.write_text(json.dumps([r._asdict() for r in runs], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

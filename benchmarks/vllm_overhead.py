"""What the plug-in costs: time per `schedule()` of vLLM's real scheduler, ours against stock, interleaved in one run.

    python benchmarks/vllm_overhead.py [--rounds 30] [--out FILE.json]

Each round times a stretch of steps with stock's queue and the same stretch with each policy, on schedulers that stand
side by side in the same state: so many requests run, so many wait, and the cache is full. The ratio printed is
the median over rounds of ours / stock, with its quartiles; stock against a second stock shows the noise. Stock is
`mode=off`: vLLM's own queue and nothing before or after a step, in the same class, because Python's inline caches
favour whichever of two classes runs the same code more often.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"  # the simulated GPU has no positions to run out of

from kvolume.vllm import compat, harness
from kvolume.vllm.scheduler import Scheduler

CASES = (  # waiting, running, policy, target
    (10_000, 64, "svf:share=0.1,admission=greedy", 1.03),
    (10_000, 64, "fcfs:admission=greedy", 1.03),
    (100_000, 64, "svf:share=0.1,admission=greedy", 1.05),
    (200, 256, "svf", 1.10),
    (200, 256, "svf:share=0.1", 1.10),
)
BLOCK, PROMPT, OUTPUT = 16, 64, 4000


class Side:
    """One scheduler in steady state: `running` requests decode, the rest wait, and memory has no room for more."""

    def __init__(self, policy: str | None, waiting: int, running: int, steps: int) -> None:
        room = -(-(PROMPT + steps + 2 * BLOCK) // BLOCK)
        how: dict[str, Any] = {"kv_blocks": running * room, "max_num_seqs": 10 * running, "max_model_len": 131_072}
        how["token_budget"] = max(4096, 2 * running * PROMPT)
        settings = {"policy": policy} if policy else {"mode": "off"}
        self.scheduler = harness.make(Scheduler, settings=settings, **how)
        job = harness.Job(PROMPT, OUTPUT, hint={"predicted_output_len": steps})
        for i in range(running):  # at first alone, so that they are the ones that run
            self.scheduler.add_request(harness.request(i, job))
        self.times: list[float] = []
        self.step()
        assert len(self.scheduler.running) == running
        big = how["kv_blocks"] * BLOCK - running * PROMPT  # a prompt that does not fit beside them
        for i in range(waiting):  # it is the head for every policy: the first, and of the smallest volume
            job = harness.Job(PROMPT, 1000 + (i * 104_729) % 900) if i else harness.Job(big, 8)
            self.scheduler.add_request(harness.request(running + i, job))

    def step(self) -> None:
        begin = time.perf_counter()
        step = self.scheduler.schedule()
        self.times.append(time.perf_counter() - begin)
        self.scheduler.update_from_output(step, harness._output(step, self.scheduler))


def case(waiting: int, running: int, policy: str, rounds: int, stretch: int) -> dict[str, Any]:
    """Ratios over rounds: ours / stock, and stock / a second stock."""
    steps = rounds * stretch + 8
    sides = [Side(p, waiting, running, steps) for p in (None, policy, None)]
    ratios, noise, ours, stock = [], [], [], []
    for k in range(rounds):
        medians = []
        for side in sides if k % 2 else sides[::-1]:
            side.times.clear()
        for j in range(stretch):
            for side in sides if (j + k) % 2 else sides[::-1]:
                side.step()
        medians = [statistics.median(side.times) for side in sides]
        ratios.append(medians[1] / medians[0])
        noise.append(medians[2] / medians[0])
        stock.append(medians[0])
        ours.append(medians[1])
    assert all(len(s.scheduler.running) == running for s in sides), [len(s.scheduler.running) for s in sides]
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "waiting": waiting, "running": running, "policy": policy, "stock_us": 1e6 * statistics.median(stock),
        "ours_us": 1e6 * statistics.median(ours), "ratio": quartiles[1], "quartiles": [quartiles[0], quartiles[2]],
        "stock_against_stock": statistics.median(noise),
    }  # fmt: skip


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--rounds", type=int, default=30)
    args.add_argument("--stretch", type=int, default=20, help="steps per round")
    args.add_argument("--only", type=int, help="this case alone")
    args.add_argument("--out", type=Path)
    given = args.parse_args()
    print(f"vLLM {compat.version()}, {given.rounds} rounds of {given.stretch} steps, time per schedule()")
    results = []
    for waiting, running, policy, target in CASES if given.only is None else CASES[given.only : given.only + 1]:
        result = case(waiting, running, policy, given.rounds, given.stretch) | {"target": target}
        results.append(result)
        print(
            f"{waiting:7d} waiting {running:4d} running {policy:32s} stock {result['stock_us']:7.1f} us "
            f"ours {result['ours_us']:7.1f} us  ratio {result['ratio']:.3f} "
            f"[{result['quartiles'][0]:.3f}, {result['quartiles'][1]:.3f}] (target {target}; "
            f"stock/stock {result['stock_against_stock']:.3f})",
            flush=True,
        )
    if given.out:
        given.out.write_text(json.dumps({"vllm": compat.version(), "cases": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()

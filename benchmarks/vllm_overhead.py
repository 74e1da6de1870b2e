"""What the plug-in costs: time per `schedule()` of vLLM's real scheduler, with it over without it.

    python benchmarks/vllm_overhead.py [--rounds 30] [--processes 6] [--async] [--out FILE.json]

Four schedulers in the same state (so many requests run, so many wait, and the cache is full): vLLM's own class as it
is, the same once more, our class with `mode=off`, and ours with the policy. Each lives in a process of its own: two
classes in one would share the inline caches of Python's bytecode, which favour whichever runs more often. The four
are forked from one parent that has loaded everything and run nothing: what a process has allocated before, even the
metrics of a library, moves every step by 2 to 4 %, whichever class runs. They take turns, a stretch of steps each, in
an order that turns around every round. Printed are medians of paired ratios of a stretch's median: ours / stock with
its quartiles over the parents (each with its own addresses and hash seed) and the same of means, which see what is not
done in every step; ours / off; and stock / stock, which shows the noise. As vLLM's engine does, the garbage collector
is told to leave alone what exists.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"  # the simulated GPU has no positions to run out of

from kvolume.vllm import compat, harness
from kvolume.vllm.scheduler import Scheduler

CASES = (  # waiting, running, policy, target
    (10_000, 64, "fair-svf", 1.03),
    (10_000, 64, "fcfs:admission=greedy", 1.03),
    (100_000, 64, "fair-svf", 1.05),
    (200, 256, "svf", 1.10),
    (200, 256, "svf:share=0.1", 1.10),
)
BLOCK, PROMPT, OUTPUT, WARM = 16, 64, 4000, 3
SIDES = ("stock", "again", "off", "ours")


class Side:
    """One scheduler in steady state: `running` requests decode, the rest wait, and memory has no room for more."""

    def __init__(self, which: str, policy: str, waiting: int, running: int, steps: int, asynchronous: bool) -> None:
        room = -(-(PROMPT + steps + 2 * BLOCK) // BLOCK)
        how: dict[str, Any] = {"kv_blocks": running * room, "max_num_seqs": 10 * running, "max_model_len": 131_072}
        how |= {"token_budget": max(4096, 2 * running * PROMPT), "asynchronous": asynchronous}
        ours = {"off": {"mode": "off"}, "ours": {"policy": policy}}
        self.scheduler = harness.make(Scheduler if which in ours else None, settings=ours.get(which), **how)
        job = harness.Job(PROMPT, OUTPUT, hint={"predicted_output_len": steps})
        for i in range(running):  # at first alone, so that they are the ones that run
            self.scheduler.add_request(harness.request(i, job))
        self.step()
        assert len(self.scheduler.running) == running
        big = how["kv_blocks"] * BLOCK - running * PROMPT  # a prompt that does not fit beside them
        for i in range(waiting):  # it is the head for every policy: the first, and of the smallest volume
            job = harness.Job(PROMPT, 1000 + (i * 104_729) % 900) if i else harness.Job(big, 1)
            self.scheduler.add_request(harness.request(running + i, job))
        gc.collect()
        gc.freeze()

    def step(self) -> float:
        begin = time.perf_counter()
        step = self.scheduler.schedule()
        took = time.perf_counter() - begin
        self.scheduler.update_from_output(step, harness._output(step, self.scheduler))
        return took


def serve(wire: Connection, *given: Any) -> None:
    """A side in its own process: asked for n steps, it answers with their median and their mean in seconds."""
    side = Side(*given)
    wire.send(type(side.scheduler).__name__)
    while n := wire.recv():
        times = [side.step() for _ in range(WARM + n)][WARM:]
        wire.send((statistics.median(times), statistics.mean(times)))
    wire.send(len(side.scheduler.running))


def parent(out: Connection, rounds: int, stretch: int, policy: str, *given: Any) -> None:
    """Fork the sides and let them take turns; sends the name of stock's class, and medians per side and round."""
    harness.make()
    harness.make(Scheduler, settings={"policy": policy})._kvolume._publish()
    context, wires, workers = get_context("fork"), {}, []
    for which in SIDES:
        wires[which], there = context.Pipe()
        workers.append(context.Process(target=serve, args=(there, which, policy, *given)))
        workers[-1].start()
        there.close()  # so that its end is noticed
        name = wires[which].recv()  # one after another
        out.send(name) if which == "stock" else None
    seconds: dict[str, list[tuple[float, float]]] = {which: [] for which in SIDES}
    for k in range(rounds):
        for which in SIDES if k % 2 else SIDES[::-1]:
            wires[which].send(stretch)
            seconds[which].append(wires[which].recv())
    for which, worker in zip(SIDES, workers, strict=True):
        wires[which].send(0)
        assert wires[which].recv() == given[1], f"{which} does not run {given[1]} any more"
        worker.join()
    out.send(seconds)


def case(
    waiting: int, running: int, policy: str, rounds: int, stretch: int, processes: int, asynchronous: bool
) -> dict[str, Any]:
    """Medians of ratios, per parent and over all of them."""
    context = get_context("spawn")
    seconds: dict[str, list[tuple[float, float]]] = {which: [] for which in SIDES}
    for _ in range(processes):
        wire, there = context.Pipe()
        given = (there, rounds, stretch, policy, waiting, running, rounds * (stretch + WARM) + 8, asynchronous)
        worker = context.Process(target=parent, args=given)
        worker.start()
        there.close()
        name, measured = wire.recv(), wire.recv()
        worker.join()
        for which in SIDES:
            seconds[which] += measured[which]

    def over(x: str, y: str, of: int = 0) -> list[float]:
        """The median ratio of each parent, of stretches' medians or (1) means."""
        ratios = [a[of] / b[of] for a, b in zip(seconds[x], seconds[y], strict=True)]
        return [statistics.median(ratios[k : k + rounds]) for k in range(0, len(ratios), rounds)]

    ratios = over("ours", "stock")
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if processes > 1 else ratios * 3
    return {
        "waiting": waiting, "running": running, "policy": policy, "class": name,
        "us": {which: 1e6 * statistics.median(x for x, _ in seconds[which]) for which in SIDES}, "ratios": ratios,
        "ratio": middle, "quartiles": [low, high], "over_off": statistics.median(over("ours", "off")),
        "again": statistics.median(over("again", "stock")), "of_means": statistics.median(over("ours", "stock", 1)),
    }  # fmt: skip


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--rounds", type=int, default=30)
    args.add_argument("--stretch", type=int, default=20, help="steps per round")
    args.add_argument("--processes", type=int, default=6, help="parents: how often all is repeated")
    args.add_argument("--async", dest="asynchronous", action="store_true", help="over AsyncScheduler")
    args.add_argument("--only", type=int, help="this case alone")
    args.add_argument("--out", type=Path)
    given = args.parse_args()
    print(f"vLLM {compat.version()}: {given.processes} parents x {given.rounds} rounds of {given.stretch} steps")
    results = []
    for waiting, running, policy, target in CASES if given.only is None else CASES[given.only : given.only + 1]:
        how = (given.rounds, given.stretch, given.processes, given.asynchronous)
        r = case(waiting, running, policy, *how) | {"target": target}
        results.append(r)
        low, high = r["quartiles"]
        print(
            f"{waiting:6d} waiting {running:3d} running {policy:22s} {r['class']} {r['us']['stock']:5.0f} us; "
            f"ours / stock {r['ratio']:.3f} [{low:.3f}, {high:.3f}], of means {r['of_means']:.3f}; "
            f"ours / off {r['over_off']:.3f}; stock / stock {r['again']:.3f}; "
            f"target {target}: {'met' if r['ratio'] <= target else 'missed'}",
            flush=True,
        )
    if given.out:
        given.out.write_text(json.dumps({"vllm": compat.version(), "cases": results}, indent=1) + "\n")
    raise SystemExit(any(r["ratio"] > r["target"] for r in results))


if __name__ == "__main__":
    main()

"""A sweep of 1,000 runs of 10,000 requests: seconds on one core and on two, and whether the bytes are the same.

Run: python benchmarks/sweep.py [requests=10000]
Target: under 120 s on two cores, the same bytes. The server's engine: 5 policies, 20 rates, 10 seeds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from kvolume.study.spec import CompareSpec
from kvolume.study.sweep import SweepSpec
from kvolume.study.sweep_run import sweep_all

POLICIES = ("vllm", "sjf:admission=greedy", "svf:admission=greedy", "svf", "fair-svf")


def main(requests: int) -> int:
    base = CompareSpec(
        source="azure2023_conv", policies=POLICIES, num_prompts=requests, engine="serving", goodput="ttft:500 tpot:80",
        clock="roofline:model=llama-3.1-8b,gpu=h100",
    )  # fmt: skip
    spec = SweepSpec(base=base, rates=tuple(map(float, range(1, 21))), kv_tokens=(449_424,), seeds=10)
    seconds, bytes_of = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for jobs in (2, 1):
            begin = time.perf_counter()
            _, _, paths = sweep_all(spec, jobs, out=Path(folder) / f"on {jobs}")
            seconds[jobs] = time.perf_counter() - begin
            bytes_of.append([path.read_bytes() for path in paths])
            print(f"{len(spec.cells) * len(POLICIES):,} runs of {requests:,} requests, processes: {jobs}   "
                  f"{seconds[jobs]:6.1f} s", flush=True)  # fmt: skip
    same = bytes_of[0] == bytes_of[1]
    print(f"the same bytes: {'yes' if same else 'NO'}")
    ok = same and seconds[2] < 120
    print("all targets hold" if ok else "A TARGET FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

"""Ten million requests under svf at load 0.9, and the bound for them: seconds and peak memory of one process.

Run: python benchmarks/ten_million.py [requests=10000000]
Targets at ten million: under 4 GB, progress shown, the bound in under 20 s.
"""

from __future__ import annotations

import resource
import sys
import time

import kvolume

KV_TOKENS = 131_072


def progress(done: int, total: int) -> None:
    print(f"\r{done:,} of {total:,} requests", end="", file=sys.stderr, flush=True)


def main(n: int) -> int:
    begin = time.perf_counter()
    w = kvolume.Workload.synthetic("azure2023_code", n, seed=0).poisson(seed=0).at_load(0.9, KV_TOKENS)
    made = time.perf_counter()
    result = kvolume.simulate(w, "svf", kv_tokens=KV_TOKENS, progress=progress)
    print(file=sys.stderr)
    simulated = time.perf_counter()
    bound = kvolume.lower_bound(w, KV_TOKENS)
    bounded = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    mean = float(result.latency.mean())
    print(f"requests              {n:,}")
    print(f"drawn in              {made - begin:.1f} s")
    print(f"simulated in          {simulated - made:.1f} s ({n / result.wall_seconds:,.0f} requests per second)")
    print(f"bounded in            {bounded - simulated:.1f} s")
    print(f"times the bound       {mean / bound.mean_latency:.3f} (mean latency {mean:.4g} s)")
    print(f"peak memory           {memory:.2f} GB")
    return 0 if memory < 4 and bounded - simulated < 20 else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))

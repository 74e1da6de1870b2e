"""SVF on a burst of 100,000 requests: times the lower bound. Target: at most 1.04.

Run: python benchmarks/bursts.py [folder of real traces]     (default: ../shared/traces; without it, the generators)
"""

from __future__ import annotations

import sys
from pathlib import Path

import kvolume
from kvolume.workload import draw

KV_TOKENS = 131_072
N = 100_000


def main(folder: Path) -> int:
    ok = True
    for name in ("sharegpt8k_lengths", "azure2023_code"):
        sources = {"generator": kvolume.Workload.synthetic(name, N)}
        if (folder / f"{name}.parquet").is_file():
            sources["trace"] = draw(kvolume.Workload.read(folder / f"{name}.parquet"), N, 0)
        for kind, source in sources.items():
            w = source.burst()
            bound = kvolume.lower_bound(w, KV_TOKENS)
            ratios = {p: kvolume.simulate(w, p, kv_tokens=KV_TOKENS).total_latency / bound.total_latency
                      for p in ("svf", "sjf", "fcfs")}  # fmt: skip
            ok &= ratios["svf"] <= 1.04
            print(f"{name:20} {kind:10}", "  ".join(f"{p} {r:.4f}" for p, r in ratios.items()))
    print("target <= 1.04 holds" if ok else "A TARGET FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/traces")))

"""What the tail pays: mean, P99, P99.9 and longest latency near load 1, in seconds, as Markdown tables.

Run: python benchmarks/tails.py [requests=20000]
A row is `kvolume compare NAME --num-prompts 20000 --arrivals poisson --load LOAD --policy POLICY --kv-tokens BUDGET`.
"""

from __future__ import annotations

import sys

import kvolume

POLICIES = (
    "fcfs",
    "sjf",
    "svf",
    "svf:share=0.1",
    "svf:share=0.5",
    "svf:aging=log,kappa=3",
    "svf:aging=linear,phi=0.01",
)
SETTINGS = (("sharegpt8k_lengths", 131_072), ("azure2023_code", 131_072), ("servegen_m_large", 131_072),
            ("mooncake_conversation", 524_288))  # fmt: skip


def main(n: int) -> int:
    for load in (0.97, 1.03):
        print(f"### Load {load}\n")
        print("| workload | policy | mean | P99 | P99.9 | longest |")
        print("|:--|:--|--:|--:|--:|--:|")
        for name, kv_tokens in SETTINGS:
            made = kvolume.compare(name, POLICIES, num_prompts=n, arrivals="poisson", load=load, kv_tokens=kv_tokens)
            for row in made.rows:
                numbers = (row[m] for m in ("mean_latency", "p99", "p999", "max"))
                shown = (f"{x:,.3g}" if x < 100 else f"{x:,.0f}" for x in numbers)
                print(f"| {name} | {row['policy']} | " + " | ".join(shown) + " |")
                name = ""
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))

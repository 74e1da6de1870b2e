"""Speed of the serving engine: python benchmarks/serving.py

10,000 requests with the lengths of Splitwise's conversation trace, Poisson arrivals, 16-token blocks, chunked prefill
with 8,192 tokens a step, 1,048,576 KV tokens, linear clock, no prefix caching. Best of five runs, compiled before.
"""

from __future__ import annotations

import kvolume

CASES = ((6.45, 256), (1000.0, 1024))
POLICIES = ("vllm", "svf:admission=greedy", "svf")


def main(n: int = 10_000) -> int:
    lengths = kvolume.Workload.synthetic("azure2023_conv", n)
    print("| rate per s | max_num_seqs | policy | requests per s | steps per s | output tokens per s | preemptions |")
    print("|--:|--:|:--|--:|--:|--:|--:|")
    for rate, seqs in CASES:
        w = lengths.poisson().at_rate(rate)
        config = kvolume.ServingConfig(max_num_seqs=seqs, enable_prefix_caching=False)
        for policy in POLICIES:
            runs = [
                kvolume.simulate(w, policy, kv_tokens=1_048_576, clock="linear", engine="serving", serving=config)
                for _ in range(5)
            ]
            best = min(runs, key=lambda r: r.wall_seconds)
            seconds, out = best.wall_seconds, w.output_tokens.sum()
            print(
                f"| {rate:g} | {seqs} | {policy} | {n / seconds:,.0f} | {best.served.steps / seconds:,.0f} | "
                f"{out / seconds:,.0f} | {best.evictions.sum()} |"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

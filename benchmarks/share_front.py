"""What share of the admitted volume should go to the oldest? Mean, P99, P99.9 and longest wait over those of vllm.

Run: python benchmarks/share_front.py [requests=20000]      (Markdown tables on stdout)
Poisson arrivals, greedy admission as in vLLM, lengths from the built-in workloads. Every figure is the ratio to vLLM's
own rule (`vllm`) on the same requests: the geometric mean over the workloads, and the worst of them.
"""

from __future__ import annotations

import sys

import numpy as np

import kvolume

WORKLOADS = {
    "azure2023_code": 131_072, "azure2023_conv": 131_072, "sharegpt8k_lengths": 131_072, "servegen_m_large": 131_072,
    "arxiv_summarization_lengths": 131_072, "mooncake_conversation": 524_288,
}  # fmt: skip
LOADS = (0.9, 0.97, 1.03)
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def measures(w: kvolume.Workload, policy: str, kv_tokens: int) -> np.ndarray:
    """Mean, P99, P99.9 and longest latency."""
    latency = kvolume.simulate(w, policy, kv_tokens=kv_tokens).latency
    return np.array([latency.mean(), *np.percentile(latency, (99, 99.9)), latency.max()])


def main(n: int) -> int:
    for load in LOADS:
        ratios: dict[float, list[np.ndarray]] = {share: [] for share in SHARES}
        for name, kv_tokens in WORKLOADS.items():
            w = kvolume.Workload.synthetic(name, n).poisson(seed=1).at_load(load, kv_tokens)
            stock = measures(w, "vllm", kv_tokens)
            for share in SHARES:
                ratios[share].append(measures(w, f"svf:share={share},admission=greedy", kv_tokens) / stock)
        print(f"### Load {load}\n")
        print("| share | mean | P99 | P99.9 | longest | worst mean | worst P99 | worst P99.9 | worst longest |")
        print("|--:|" + "--:|" * 8)
        for share, rows in ratios.items():
            table = np.array(rows)
            cells = [*np.exp(np.log(table).mean(axis=0)), *table.max(axis=0)]
            print(f"| {share:g} | " + " | ".join(f"{x:.2f}" for x in cells) + " |")
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))

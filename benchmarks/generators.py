"""How near the built-in generators come to the published facts that they were made from, as a Markdown table.

Run: python benchmarks/generators.py [requests=500000]
Errors are relative, of the mean and the standard deviation of lengths, and of the mean KV volume. Spearman is the
rank correlation of prompt and output: drawn (published). The gaps' coefficient of variation likewise.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.stats import spearmanr

from kvolume.text import parse_spec
from kvolume.workload.arrivals import gaps
from kvolume.workload.synthetic import facts, names, synthetic


def percent(drawn: float, published: float) -> str:
    return f"{100 * (drawn / published - 1):+.1f} %"


def published_cv(known: dict) -> float | None:
    """Of the gaps; None for workloads whose trace has no times."""
    times = known.get("arrivals")
    return None if times is None else float(times["iat_cv"])


def main(n: int) -> int:
    print("| workload | prompt mean | std | output mean | std | KV volume | Spearman | CV of gaps |")
    print("|:--|--:|--:|--:|--:|--:|--:|--:|")
    for name in names():
        known, w = facts(name), synthetic(name, n)
        lengths = (("prompt", w.prompt_tokens), ("output", w.output_tokens))
        row = [percent(getattr(x, m)(), known[side][m]) for side, x in lengths for m in ("mean", "std")]
        row.append(percent(w.volumes().mean(), known["mean_volume"]))
        row.append(f"{spearmanr(w.prompt_tokens, w.output_tokens).statistic:.2f} ({known['spearman']:.2f})")
        cv = published_cv(known)
        if cv is None:
            row.append("–")
        else:
            process = known["arrivals"]["process"]
            drawn = gaps(process, n, np.random.default_rng(0))
            row.append(f"{drawn.std() / drawn.mean():.2f} ({cv:.2f}), {parse_spec(process, '')[0]}")
        print(f"| {name} | " + " | ".join(row) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000))

"""Every built-in workload at five loads under the default policies: times the lower bound, as Markdown tables.

Run: python benchmarks/loads.py [recorded|poisson] [requests=20000]
`recorded` keeps each workload's own arrival shape (Poisson where it has none), scaled to the load. A cell is what
`kvolume compare NAME --num-prompts 20000 --load LOAD [--arrivals poisson] --policy POLICY --kv-tokens BUDGET` says.
"""

from __future__ import annotations

import sys

import kvolume
from kvolume.study.defaults import DEFAULT_KV_TOKENS, DEFAULT_POLICIES
from kvolume.workload.synthetic import names

POLICIES = (*DEFAULT_POLICIES, "svf:share=0.1")
LOADS = (0.8, 0.9, 1.0, 1.2, None)  # None: one burst


def budget(name: str) -> int:
    """Prompts of up to 190,000 tokens need the larger cache."""
    return 524_288 if name.startswith(("mooncake", "sharegpt_turns")) else DEFAULT_KV_TOKENS


def ratios(name: str, load: float | None, arrivals: str, n: int) -> list[float | None]:
    shape = None if arrivals == "recorded" else arrivals
    times = {"burst": True} if load is None else {"load": load, "arrivals": shape}
    comparison = kvolume.compare(name, POLICIES, num_prompts=n, kv_tokens=budget(name), **times)
    return [row["ratio_to_bound"] for row in comparison.rows]


def cells(values: list[float | None]) -> list[str]:
    """Two decimals, the best in bold."""
    shown = ["does not finish" if v is None else f"{v:.2f}" for v in values]
    best = min((v for v in values if v is not None), default=0.0)
    return [f"**{text}**" if text == f"{best:.2f}" else text for text in shown]


def main(arrivals: str, n: int) -> int:
    for load in LOADS[: -1 if arrivals == "poisson" else None]:  # a burst has no arrivals to shape
        print(f"### {'Burst' if load is None else f'Load {load}'}\n")
        print("| workload |" + "".join(f" {p} |" for p in POLICIES))
        print("|:--|" + "--:|" * len(POLICIES))
        for name in names():
            row = cells(ratios(name, load, arrivals, n))
            print(f"| {name} |" + "".join(f" {cell} |" for cell in row), flush=True)
        print()
    return 0


if __name__ == "__main__":
    given = sys.argv[1:]
    raise SystemExit(main(given[0] if given else "recorded", int(given[1]) if len(given) > 1 else 20_000))

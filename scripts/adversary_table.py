"""Attack every policy and print what was found beside its guarantee: `python scripts/adversary_table.py [POLICY...]`.

Without arguments it attacks all of POLICIES and also writes tests/reproduce/finds.json, the instances that the tests
compute again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kvolume.reproduce.adversary import Find, attack

FINDS = Path(__file__).parents[1] / "tests" / "reproduce" / "finds.json"
POLICIES = (
    "svf", "svf:share=0.3", "fair-svf", "easy-svf", "one-bit:rule=worst-case", "one-bit", "sjf", "fcfs", "vllm", "peak",
    "gsa", "gsa:tau0=8", "gsa-spec", "gba", "gba-d", "wait", "nested-wait",
    "a-min", "a-max", "sorted-f",
)  # fmt: skip
COLUMNS = ("burst, peaks <= M/2", "burst, any peaks", "burst, equal prompts, peaks <= M/2", "arrivals over time")
TRIALS = 100


def cell(find: Find | None) -> str:
    """The ratio, with the guarantee on that instance where there is one."""
    if find is None:
        return "–"
    if find.total is None:
        return "does not finish"
    size = "≥ " if not find.exact else ""
    proven = "" if find.guarantee is None else f" of {find.guarantee:.3g}"
    return f"{size}{find.ratio:.2f}{proven}"


def row(policy: str, finds: list[Find]) -> str:
    """One row of the table."""
    by_setting = {f.setting: f for f in finds if f.setting != "traps"}
    trapped = max((f for f in finds if f.setting == "traps" and f.burst), key=lambda f: f.ratio, default=None)
    if "burst, equal prompts, peaks <= M/2" not in by_setting and "burst, peaks <= M/2" in by_setting:
        by_setting["burst, equal prompts, peaks <= M/2"] = by_setting.pop("burst, peaks <= M/2")  # these know no others
    cells = [cell(by_setting.get(c)) for c in COLUMNS]
    trap = "–" if trapped is None else f"{cell(trapped)} ({trapped.origin})"
    return f"| `{policy}` | {' | '.join([*cells, trap])} |"


def main(arguments: list[str]) -> int:
    """Print the table."""
    print(f"| policy | {' | '.join(COLUMNS)} | worst burst trap |")
    print("|:--|--:|--:|--:|--:|:--|")
    kept = []
    for policy in arguments or POLICIES:
        finds = attack(policy, trials=TRIALS, seed=0)
        print(row(policy, finds))
        kept += [{"policy": policy} | f.to_dict() for f in finds if f.case is not None]
    if not arguments:
        keys = ("policy", "setting", "total_latency", "best", "instance")
        lines = ",\n ".join(json.dumps({k: f[k] for k in keys}) for f in kept)
        FINDS.write_text(f"[{lines}]\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

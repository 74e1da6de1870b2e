"""The built-in policies as Markdown, for docs/policies.md (`python scripts/docs.py --tables` puts it there)."""

from __future__ import annotations

import re

from kvolume.policy import Entry
from kvolume.policy.builtin import BUILTIN
from kvolume.policy.registry import COMMON


def paper(text: str) -> str:
    """arXiv numbers as links."""
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text) or "–"


def summary(entry: Entry) -> str:
    return f"The same as `{entry.alias_of}`." if entry.alias_of else entry.summary


def main() -> None:
    print("| policy | what it does | knows | guarantee | paper |")
    print("|:--|:--|:--|:--|:--|")
    for e in BUILTIN:
        print(f"| `{e.id}` | {summary(e)} | {e.knowledge} | {e.guarantee} | {paper(e.paper)} |")
    print("\nParameters of policies of three answers (`alpha-protection`: only `alpha`, `beta`, `backfill`, `seed`):\n")
    print("| parameter | default | meaning |")
    print("|:--|:--|:--|")
    for name, p in COMMON.items():
        print(f"| `{name}` | {p.default} | {p.meaning} |")
    print("\nParameters of single policies, and defaults that differ:\n")
    print("| policy | parameter | default | meaning |")
    print("|:--|:--|:--|:--|")
    for e in BUILTIN:
        for name, p in e.parameters.items():
            if not e.alias_of and COMMON.get(name) != p:
                print(f"| `{e.id}` | `{name}` | {p.default} | {p.meaning} |")


if __name__ == "__main__":
    main()

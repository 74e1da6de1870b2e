"""The catalogue of policies as text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from kvolume.policy import Entry, catalogue, find

WIDTH = 100


def entries(name: str | None = None) -> list[Entry]:
    """All policies, or the one of this name. Raises UnknownNameError."""
    return catalogue() if name is None else [find(name.partition(":")[0])]


def listing(found: Sequence[Entry]) -> str:
    """Name, summary and, where something is proven, the guarantee."""
    wide = max(len(entry.id) for entry in found)
    out = []
    for entry in found:
        alias = f" (the same as {entry.alias_of})" if entry.alias_of else ""
        text = textwrap.fill(entry.summary + alias, WIDTH - wide - 2, subsequent_indent=" " * (wide + 2))
        out.append(f"{entry.id.ljust(wide)}  {text}")
        if not entry.guarantee.startswith("none"):
            proven = textwrap.fill(f"proven: {entry.guarantee}", WIDTH - wide - 4, subsequent_indent=" " * (wide + 4))
            out.append(f"{' ' * (wide + 2)}{proven}")
    return "\n".join([*out, "", "`kvolume policies NAME` has parameters and paper."]) + "\n"


def details(entry: Entry) -> str:
    """Everything that is known of one policy."""
    facts = {"knows": entry.knowledge, "guarantee": entry.guarantee, "paper": entry.paper or "none"}
    if entry.alias_of:
        facts = {"the same as": entry.alias_of} | facts
    wide = max(map(len, facts))
    out = [f"{entry.id}: {entry.summary}", ""]
    for key, value in facts.items():
        out.append(textwrap.fill(f"{key.ljust(wide)}  {value}", WIDTH, subsequent_indent=" " * (wide + 2)))
    if entry.parameters:
        out += ["", f"parameters (write {entry.id}:name=value,name=value)"]
        names = max(map(len, entry.parameters))
        values = max(len(p.default) for p in entry.parameters.values())
        for name, parameter in entry.parameters.items():
            text = f"  {name.ljust(names)}  {parameter.default.ljust(values)}  {parameter.meaning}"
            out.append(textwrap.fill(text, WIDTH, subsequent_indent=" " * (names + values + 6)))
    return "\n".join(out) + "\n"


def to_json(found: Sequence[Entry]) -> str:
    """The entries as a JSON list."""
    rows = [
        {
            "policy": entry.id, "summary": entry.summary, "knowledge": entry.knowledge, "guarantee": entry.guarantee,
            "paper": entry.paper, "alias_of": entry.alias_of or None,
            "parameters": {name: p._asdict() for name, p in entry.parameters.items()},
        }
        for entry in found
    ]  # fmt: skip
    return json.dumps(rows, indent=2) + "\n"

"""Outcomes and finds as text and as Markdown."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from kvolume.report.sentence import digits
from kvolume.reproduce.adversary import Find
from kvolume.reproduce.experiment import Ours, Outcome, Row

WIDTH = 100
NONE = "–"


def outcome_text(outcome: Outcome) -> str:
    """Title, settings, published against ours, notes."""
    out = [f"{outcome.name}: {outcome.title} ({outcome.paper})"]
    settings = "; ".join(f"{k} {v}" for k, v in outcome.settings.items())
    out += [textwrap.fill(f"settings: {settings}", WIDTH), ""]
    out += columns([("", "published", "ours", "difference"), *map(_cells, outcome.rows)])
    footnotes = dict.fromkeys(r.note for r in outcome.rows if r.note)
    for note in [*footnotes, *outcome.notes]:
        out += ["", textwrap.fill(note, WIDTH)]
    return "\n".join(out) + "\n"


def outcome_markdown(outcome: Outcome, chart: str | None) -> str:
    """A section of the docs page."""
    settings = "; ".join(f"{k} {v}" for k, v in outcome.settings.items())
    out = [f"## {outcome.name}", "", f"{outcome.title} ({outcome.paper}). Settings: {settings}.", ""]
    out += ["| | published | ours | difference |", "|:--|--:|--:|--:|"]
    out += [f"| {' | '.join(_cells(row))} |" for row in outcome.rows]
    footnotes = dict.fromkeys(r.note for r in outcome.rows if r.note)
    for note in [*footnotes, *outcome.notes]:
        out += ["", note]
    if chart is not None:
        out += ["", f"![{outcome.title}]({chart})"]
    return "\n".join(out) + "\n"


def _cells(row: Row) -> tuple[str, str, str, str]:
    return row.what, _number(row.published), _number(row.ours), _difference(row)


def _number(value: Ours) -> str:
    if value is None:
        return NONE
    if isinstance(value, tuple):
        return " to ".join(map(_number, value))
    if math.isinf(value):
        return "unbounded"
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 1000 else digits(value)


def _difference(row: Row) -> str:
    if row.difference is None:
        return NONE
    return " to ".join("0%" if abs(d) < 5e-5 else f"{100 * d:+.2g}%" if abs(d) < 0.1 else f"{100 * d:+.0f}%"
                       for d in row.difference)  # fmt: skip


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
    return [line.rstrip() for line in lines]


def finds_text(policy: str, finds: Sequence[Find]) -> str:
    """The worst instance of each setting and trap, and the worst of all in full."""
    rows = [("setting", "worst ratio", "guarantee there", "requests", "found by")]
    rows += [(f.setting, _ratio(f), _number(f.guarantee), f"{f.requests:,}", f.origin) for f in finds]
    out = [f"{policy}: sum of latencies over that of the best schedule known", "", *columns(rows)]
    for find in _worst_kept(finds):
        out += ["", textwrap.fill(f"Worst small instance ({find.setting}): {find.case.to_dict()}", WIDTH)]  # type: ignore[union-attr]
        out.append(textwrap.fill(find.sentence, WIDTH))
    return "\n".join(out) + "\n"


def finds_json(policy: str, finds: Sequence[Find]) -> str:
    """The finds as one JSON object."""
    return json.dumps({"policy": policy, "finds": [f.to_dict() for f in finds]}, indent=1) + "\n"


def summary(took: Mapping[str, float]) -> str:
    """What ran and how long it took."""
    rows = [(name, f"{seconds:.0f} s" if seconds else "kept") for name, seconds in took.items()]
    return "\n".join([*columns(rows), f"{sum(took.values()):.0f} s in all"]) + "\n"


def summary_json(took: Mapping[str, float]) -> str:
    """The same as one JSON object."""
    return json.dumps({"seconds": dict(took)}, indent=1) + "\n"


def _worst_kept(finds: Iterable[Find]) -> list[Find]:
    kept = [f for f in finds if f.case is not None]
    return [max(kept, key=lambda f: f.ratio)] if kept else []


def _ratio(find: Find) -> str:
    if find.total is None:
        return "does not finish"
    return f"{find.ratio:.4g}" if find.exact else f">= {find.ratio:.4g}"

"""A comparison as lines of text that fit a terminal: one table, or several stacked where it is narrow."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvolume.study.interval import Interval

if TYPE_CHECKING:
    from kvolume.study.comparison import Comparison
    from kvolume.study.seeds import Replicated
    from kvolume.study.spec import CompareSpec

BEST = "*"  # follows the best value of a column, so that it shows without colour
LIVELOCK = "does not finish"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, and the parts of it (start, stop) to show in bold or dim."""

    text: str
    bold: tuple[tuple[int, int], ...] = ()
    dim: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A metric of the table. `group` heads neighbouring columns together; `best` is min, max or nothing."""

    key: str
    group: str
    title: str
    best: str = "min"
    kind: str = "time"  # time, share, count, ratio or text


def columns(unit: str) -> tuple[Column, ...]:
    """The columns for latencies in `unit`."""
    latency, token = f"latency, {unit}", "per token"
    return (
        Column("mean_latency", latency, "mean"),
        Column("p50", latency, "P50"),
        Column("p90", latency, "P90"),
        Column("p99", latency, "P99"),
        Column("max", latency, "max"),
        Column("mean_per_token", token, "mean"),
        Column("p95_per_token", token, "P95"),
        Column("queued_share", "", "queued", kind="share"),
        Column("makespan", "make-", "span"),
        Column("kv_utilisation", "KV", "used", "max", "share"),
        Column("evictions", "evic-", "tions", kind="count"),
        Column("ratio_to_bound", "times", "bound", kind="ratio"),
    )


Shown = Sequence[tuple[str, Sequence[float]]]
USUAL: Shown = (("ttft", (50.0, 99.0)), ("tpot", (99.0,)), ("itl", (99.0,)))  # what fits beside the rest


def served_columns(goodput: bool, shown: Shown = USUAL) -> tuple[Column, ...]:
    """The columns of what a server's users see, in milliseconds: the percentiles `shown` of these metrics."""
    from kvolume.engine.metrics import percentile_name

    times = tuple(
        column
        for key, percentiles in shown
        for column in (
            Column(f"mean_{key}_ms", f"{key.upper()}, ms", "mean"),
            *(Column(f"{p}_{key}_ms", f"{key.upper()}, ms", p.upper()) for p in map(percentile_name, percentiles)),
        )
    )
    rates = (Column("output_throughput", "output", "tokens/s", "max"),)
    return times + rates + ((Column("request_goodput", "good", "per s", "max"),) if goodput else ())


def lines(comparison: Comparison, width: int = 100) -> list[Line]:
    """The table of a comparison, at most `width` wide unless a single column is wider."""
    served = comparison.served_rows
    out = layout(comparison.rows, comparison.unit, width)
    if served:
        out += [Line(""), *layout(served, comparison.unit, width, _wanted(comparison.spec, comparison.asked))]
    return out


OVER_SEEDS = ("mean_latency", "p50", "p99", "mean_per_token", "queued_share", "ratio_to_bound")


def seed_lines(made: Replicated, width: int = 100) -> list[Line]:
    """The table of a comparison with several seeds: means, and half the width of their intervals."""
    out = layout(made.rows, made.unit, width, [c for c in columns(made.unit) if c.key in OVER_SEEDS])
    if served := made.served_rows:
        out += [Line(""), *layout(served, made.unit, width, _wanted(made.spec, made.asked))]
    return out


def _wanted(spec: CompareSpec, asked: tuple[Sequence[str], Sequence[float]]) -> tuple[Column, ...]:
    """The columns that a spec asks for; the usual ones where it does not say."""
    says = spec.percentile_metrics or spec.metric_percentiles
    return served_columns(spec.goodput is not None, [(name, asked[1]) for name in asked[0]] if says else USUAL)


def layout(
    rows: Sequence[dict[str, Any]], unit: str, width: int, cols: Sequence[Column] | None = None
) -> list[Line]:
    """The table of these rows (see `Comparison.rows`): full numbers, else short ones, else stacked tables."""
    cols = cols or columns(unit)
    names = [str(row["label"]) for row in rows]
    for compact in (False, True):
        cells = [_cells(col, rows, compact) for col in cols]
        for limit in (28, 20, 14):
            label = _Labels(names, limit)
            if label.width + sum(2 + _column_width(group) for group in _groups(cols, cells)) < width:  # < for a last *
                return [*_block(label, cols, cells, rows), *_legend(cols, cells, rows)]
    label = _Labels(names, max(14, width // 4))
    out: list[Line] = []
    for block in _stack(cols, cells, width - label.width - 1):
        out += [
            *([Line("")] if out else []),
            *_block(label, [cols[i] for i in block], [cells[i] for i in block], rows),
        ]
    return [*out, *_legend(cols, cells, rows)]


def number(value: float, decimals: int, compact: bool = False) -> str:
    """A number with thousands separators; `k` and `M` from 10,000 and 10 million where it must be short."""
    size = abs(value)
    if size >= 1e15 or (size >= 1e7 and not compact):
        return f"{value / 1e6:,.0f}M" if size < 1e15 else f"{value:.2e}"
    if compact and size >= 1e4:
        scale, suffix = (1e6, "M") if size >= 999_500 else (1e3, "k")
        short = value / scale
        return f"{short:,.{1 if abs(short) < 99.95 else 0}f}{suffix}"
    return f"{value:,.{decimals}f}"


def _cells(col: Column, rows: Sequence[dict[str, Any]], compact: bool) -> list[str]:
    values = [row[col.key] for row in rows]
    if col.kind == "text":
        return [str(value) for value in values]
    decimals = _decimals(col, [_mean(v) for v in values if v is not None])

    def shown(value: float) -> str:
        return _share(value) if col.kind == "share" else number(value, decimals, compact)

    out = ["–" if v is None else shown(_mean(v)) for v in values]
    halves = [f"±{shown(v.half)}" if isinstance(v, Interval) and v.half is not None else "" for v in values]
    wide = max(map(len, halves))
    return [f"{text} {half.rjust(wide)}" if half else text for text, half in zip(out, halves, strict=True)]


def _mean(value: float | Interval) -> float:
    """A number, or the mean of several seeds."""
    return value.mean if isinstance(value, Interval) else value


def _decimals(col: Column, values: Sequence[float]) -> int:
    """As many as give the smallest value three digits (two below 1), and no more than the largest can bear."""
    if col.kind == "ratio":
        return 2
    if col.kind == "count" or all(float(v).is_integer() for v in values):
        return 0
    smallest = min((abs(v) for v in values if v), default=1.0)
    wanted = min(4, max(0, (2 if smallest >= 1 else 1) - math.floor(math.log10(smallest))))
    largest = max(abs(v) for v in values)
    return min(wanted, 0 if largest >= 9999.5 else 1 if largest >= 999.5 else 4)


def _share(value: float) -> str:
    percent = 100 * value
    if 0 < percent < 0.05:
        return "<0.1%"
    return f"{percent:.1f}%" if percent < 9.95 else f"{percent:.0f}%"


def _best(col: Column, rows: Sequence[dict[str, Any]], cells: Sequence[str]) -> set[int]:
    """The rows that show the best value of a column; none where all show the same, which tells nothing."""
    if col.kind == "text":
        return set()
    known = ((i, row[col.key]) for i, row in enumerate(rows) if row["status"] == "finished")
    values = {i: _mean(value) for i, value in known if value is not None}
    if len(values) < 2:
        return set()
    best = (min if col.best == "min" else max)(values, key=values.__getitem__)
    shown = {i for i in values if cells[i] == cells[best]}
    return shown if len(shown) < len(values) else set()


class _Labels:
    """Policy labels wrapped to a width: at spaces, after commas and colons."""

    def __init__(self, names: Sequence[str], limit: int) -> None:
        self.parts = [_wrap(name, limit) for name in names]
        self.width = max(len("policy"), *(len(p) for parts in self.parts for p in parts))


def _wrap(name: str, limit: int) -> list[str]:
    parts: list[str] = []
    for piece in re.findall(r"\([^)]*\)|[^ ,:(]*[ ,:]?", name):
        if parts and len((parts[-1] + piece).rstrip()) <= limit:
            parts[-1] += piece
        elif piece:
            parts.append(piece)
    return [parts[0].rstrip(), *("  " + p.rstrip() for p in parts[1:])]


def _groups(cols: Sequence[Column], cells: Sequence[list[str]]) -> list[list[tuple[Column, list[str]]]]:
    """Neighbouring columns under one heading, together."""
    groups: list[list[tuple[Column, list[str]]]] = []
    for col, cell in zip(cols, cells, strict=True):
        if groups and col.group and groups[-1][-1][0].group == col.group:
            groups[-1].append((col, cell))
        else:
            groups.append([(col, cell)])
    return groups


def _widths(group: list[tuple[Column, list[str]]]) -> list[int]:
    """Width of each column of a group, its heading included."""
    widths = [max(len(col.title), *map(len, cell)) for col, cell in group]
    missing = len(group[0][0].group) - (sum(widths) + 2 * (len(widths) - 1))
    widths[0] += max(0, missing)
    return widths


def _column_width(group: list[tuple[Column, list[str]]]) -> int:
    widths = _widths(group)
    return sum(widths) + 2 * (len(widths) - 1)


def _stack(cols: Sequence[Column], cells: Sequence[list[str]], width: int) -> list[list[int]]:
    """Column numbers block by block; a group stays whole where it can."""
    blocks: list[list[int]] = [[]]
    used, at = 0, 0
    for group in _groups(cols, cells):
        numbers = range(at, at + len(group))
        at += len(group)
        need = 2 + _column_width(group)
        if used and used + need > width:
            blocks.append([])
            used = 0
        if need <= width:
            blocks[-1] += numbers
            used += need
            continue
        for i in numbers:
            need = 2 + _column_width([(cols[i], cells[i])])
            if used and used + need > width:
                blocks.append([])
                used = 0
            blocks[-1].append(i)
            used += need
    return blocks


def _block(
    labels: _Labels, cols: Sequence[Column], cells: Sequence[list[str]], rows: Sequence[dict[str, Any]]
) -> list[Line]:
    groups = _groups(cols, cells)
    pad = " " * labels.width
    top, titles = pad, "policy".ljust(labels.width)
    for group in groups:
        heading, wide = group[0][0].group, _column_width(group)
        if len(group) > 1 and wide > len(heading) + 1:
            heading = f"{heading} ".ljust(wide, "─")
        top += "  " + heading.rjust(wide)
        titles += "".join("  " + col.title.rjust(w) for (col, _), w in zip(group, _widths(group), strict=True))
    out = [Line(top.rstrip(), dim=True), Line(titles, dim=True)]
    best = {col.key: _best(col, rows, cell) for col, cell in zip(cols, cells, strict=True)}
    for i, row in enumerate(rows):
        text, bold = labels.parts[i][0].ljust(labels.width), []
        if row["status"] != "finished":
            text += f"  {LIVELOCK}"
        else:
            for group in groups:
                for (col, cell), wide in zip(group, _widths(group), strict=True):
                    # The marker takes the first of the two spaces after a value: it costs no width.
                    text = text.ljust(len(text) + 1) if text.endswith(BEST) else text + "  "
                    text += cell[i].rjust(wide)
                    if i in best[col.key]:
                        bold.append((len(text) - len(cell[i]), len(text) + 1))
                        text += BEST
        out.append(Line(text.rstrip(), tuple(bold)))
        out += [Line(part) for part in labels.parts[i][1:]]
    return out


def _legend(cols: Sequence[Column], cells: Sequence[list[str]], rows: Sequence[dict[str, Any]]) -> list[Line]:
    if any(_best(col, rows, cell) for col, cell in zip(cols, cells, strict=True)):
        return [Line(f"{BEST} best of its column", dim=True)]
    return []

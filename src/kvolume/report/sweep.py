"""A sweep as text: mean latency against rate, a row for each policy, and up to which rate each keeps up."""

from __future__ import annotations

from typing import Any

from kvolume.study.findings import Curve, Findings
from kvolume.study.interval import CONFIDENCE
from kvolume.study.table import Column, Line, layout

SERIES = (("mean_latency", "mean latency", "min"), ("request_goodput", "good requests per s", "max"))


def heading(findings: Findings) -> str:
    """What was swept."""
    spec, base = findings.spec, findings.spec.base
    what = f"{len(spec.axis)} {'rates' if spec.rates else 'loads'}"
    budgets = f"{len(spec.kv_tokens)} KV budgets, " if len(spec.kv_tokens) > 1 else ""
    requests = findings.records[0]["injected"]
    return (
        f"{base.source}: {len(findings.records):,} runs of {requests:,} requests: {len(base.policies)} policies, "
        f"{budgets}{what}, {spec.seeds} seed{'s' if spec.seeds > 1 else ''}"
    )


def lines(findings: Findings, width: int = 100) -> list[Line]:
    """A table for each KV budget, at most `width` wide where that is possible."""
    out: list[Line] = []
    for m in findings.spec.kv_tokens:
        curves = [curve for curve in findings.curves if curve.kv_tokens == m]
        for key, title, best in SERIES:
            if any(point.get(key) is not None for curve in curves for point in curve.points):
                out += [Line(""), Line(f"{m:,} KV tokens, {title}{_unit(findings, key)}"), Line("")]
                out += _table(findings, curves, key, best, width)
    return out[1:]


def explained(findings: Findings) -> str:
    """What the last columns mean."""
    first, seeds = findings.spec.base.seed, findings.spec.seeds
    said = "keeps up: at most 5% of the offered volume piles up; knee: largest throughput over latency"
    if findings.spec.base.goodput:
        said += "; good: at least 90% of the requests meet the limits"
    if seeds == 1:
        return f"{said}."
    return f"{said}. ± is Student's {CONFIDENCE:.0%} interval over the seeds {first} to {first + seeds - 1}."


def _table(findings: Findings, curves: list[Curve], key: str, best: str, width: int) -> list[Line]:
    name = "requests per s" if findings.spec.rates else "load"
    columns = [Column(f"at {i}", name, f"{at:g}", best) for i, at in enumerate(findings.spec.axis)]
    rows: list[dict[str, Any]] = []
    for curve in curves:
        row: dict[str, Any] = {"label": curve.label, "status": "finished"}
        row |= {f"at {i}": point.get(key) for i, point in enumerate(curve.points)}
        row |= {"up": _limit(curve, curve.sustainable), "knee": _limit(curve, curve.knee, open_end=False)}
        rows.append(row | {"good": _limit(curve, curve.good)})
    if key != SERIES[0][0]:  # said once
        return layout(rows, "s", width, columns)
    columns += [Column("up", "keeps", "up to", kind="text"), Column("knee", "", "knee", kind="text")]
    if findings.spec.base.goodput:
        columns.append(Column("good", "good", "up to", kind="text"))
    return layout(rows, "s", width, columns)


def _limit(curve: Curve, at: float | None, *, open_end: bool = True) -> str:
    """A place on the axis; `<` and `≥` where it lies outside of what was swept."""
    if at is None:
        return f"<{curve.axis[0]:g}"
    return f"≥{at:g}" if open_end and at == curve.axis[-1] else f"{at:g}"


def _unit(findings: Findings, key: str) -> str:
    return "" if key != "mean_latency" else f", {findings.unit}"

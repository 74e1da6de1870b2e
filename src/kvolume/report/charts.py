"""Charts of a comparison as SVG: latency distribution, KV use and queue length over time.

The same comparison gives the same bytes: no date, fixed ids. matplotlib is imported only when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kvolume.report.house import (
    BEST,
    BUDGET,
    COLOURS,
    KEY_LEFT,
    MUTED,
    STYLES,
    blank,
    fold,
    formatter,
    house,
    save,
    short,
)
from kvolume.report.series import kv_use, queue_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kvolume.engine.result import Result
    from kvolume.study.comparison import Comparison

BINS = 480  # of time: about as many as the width has points in print
ENTRY, LINE = 0.42, 0.155  # inches that an entry of the key takes, and each further line of its label


def draw(comparison: Comparison, folder: Path) -> list[Path]:
    """Write every chart of a comparison into `folder`; returns the files. Raises MissingExtraError."""
    return [save(chart(comparison), folder / f"{name}.svg") for name, chart in CHARTS.items()]


def latency_cdf(comparison: Comparison) -> Figure:
    """Which share of the requests is done within which latency, a curve for each policy."""
    figure, (axes,) = blank("Latency of the requests", _caption(comparison), 1, max(3.7, _key_height(comparison)))
    entries = []
    for i, result in _drawable(comparison):
        latency = np.sort(result.latency).astype(float)
        share = np.arange(1, latency.size + 1) / latency.size
        keep = _spread(latency, share, 900)
        axes.plot(
            latency[keep],
            share[keep],
            drawstyle="steps-post" if latency.size < 200 else "default",
            **_line(comparison, i),
        )
        p50, p99 = np.percentile(latency, (50, 99))
        axes.plot([p50], [0.5], "o", ms=3.2, color=_line(comparison, i)["color"])
        entries.append((i, f"P50 {short(p50)}, P99 {short(p99)}"))
    axes.set_xscale("log")
    axes.set_ylim(0, 1.005)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 0.9, 1], ["0", "25%", "50%", "75%", "90%", "100%"])
    axes.xaxis.set_major_formatter(formatter())
    axes.set_xlabel(f"end-to-end latency, {_unit_name(comparison.unit)} (logarithmic)")
    _title(axes, "share of requests done within")
    axes.grid(True, which="major")
    _key(figure, comparison, entries)
    return figure


def kv_use_chart(comparison: Comparison) -> Figure:
    """KV tokens in use over time, a panel for each policy, with the budget."""
    drawable = _drawable(comparison)
    n = max(1, len(drawable))
    figure, panels = blank("KV cache in use", _caption(comparison), n, 1.1 + 0.95 * n)
    budget = comparison.spec.kv_tokens
    scale, unit = _time_scale(comparison)
    for axes, (i, result) in zip(panels, drawable, strict=False):
        series = kv_use(result, BINS)
        colour = _line(comparison, i)["color"]
        axes.stairs(series.values, series.edges / scale, fill=True, color=colour, alpha=0.28, lw=0)
        axes.stairs(series.values, series.edges / scale, color=colour, lw=0.8, baseline=None)
        axes.axhline(budget, color=BUDGET, lw=1.0)
        axes.set_ylim(0, budget * 1.12)
        axes.margins(x=0.01)
        axes.set_yticks([0, budget / 2, budget], ["0", short(budget / 2), short(budget)])
        axes.grid(True, axis="x")
        used = comparison.rows[i]["kv_utilisation"]
        name = {"color": colour, "weight": "bold", "va": "bottom", "linespacing": 1.1}
        axes.text(1.02, 0.36, fold(comparison.labels[i]), transform=axes.transAxes, **name)
        axes.text(1.02, 0.3, f"{100 * used:.0f}% used", transform=axes.transAxes, color=MUTED, va="top", size=8)
    if drawable:
        panels[0].text(0.0, 1.03, f"budget {budget:,} tokens", transform=panels[0].transAxes, color=BUDGET, size=8)
    panels[-1].xaxis.set_major_formatter(formatter())
    panels[-1].set_xlabel(f"time, {unit}")
    return figure


def queue_chart(comparison: Comparison) -> Figure:
    """How many requests wait over time, a curve for each policy."""
    figure, (axes,) = blank("Requests waiting", _caption(comparison), 1, max(3.4, _key_height(comparison)))
    scale, unit = _time_scale(comparison)
    entries = []
    for i, result in _drawable(comparison):
        series = queue_length(result, BINS)
        axes.stairs(series.values, series.edges / scale, baseline=None, **_line(comparison, i))
        entries.append((i, f"at most {short(float(series.values.max()))}"))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(formatter())
    axes.yaxis.set_major_formatter(formatter())
    axes.grid(True)
    _title(axes, "requests in the queue")
    axes.set_xlabel(f"time, {unit}")
    _key(figure, comparison, entries)
    return figure


CHARTS: dict[str, Callable[[Comparison], Figure]] = {
    "latency_cdf": lambda comparison: _styled(latency_cdf, comparison),
    "kv_use": lambda comparison: _styled(kv_use_chart, comparison),
    "queue_length": lambda comparison: _styled(queue_chart, comparison),
}


def _styled(chart: Callable[[Comparison], Figure], comparison: Comparison) -> Figure:
    with house():
        return chart(comparison)


def _caption(comparison: Comparison) -> str:
    load = "one burst" if np.isinf(comparison.load) else f"load {comparison.load:.3g}"
    workload, kv_tokens = comparison.workload, comparison.spec.kv_tokens
    return f"{workload.name}, {len(workload):,} requests, {load}, {kv_tokens:,} KV tokens"


def _drawable(comparison: Comparison) -> list[tuple[int, Result]]:
    return [(i, r) for i, r in enumerate(comparison.results) if r.status == "finished" and r.done.any()]


def _line(comparison: Comparison, i: int) -> dict[str, Any]:
    """Colour and stroke of a policy's curve; the one with the lowest mean stands out."""
    if i == _best(comparison):
        return BEST
    return {"color": COLOURS[i % len(COLOURS)], "ls": STYLES[i % len(STYLES)], "lw": 1.5}


def _best(comparison: Comparison) -> int:
    means = [row["mean_latency"] for row in comparison.rows]
    return min(range(len(means)), key=lambda i: np.inf if means[i] is None else means[i])


def _key_height(comparison: Comparison) -> float:
    """Inches that a figure must have for its key."""
    return 1.1 + sum(ENTRY + LINE * fold(label).count("\n") for label in comparison.labels)


def _key(figure: Figure, comparison: Comparison, entries: list[tuple[int, str]]) -> None:
    """Name the curves in the right margin, in their colours, with their line style and a number."""
    from matplotlib.lines import Line2D

    height = figure.get_figheight()
    y = height - 0.78  # inches from the bottom
    for i, number in entries:
        label, style = fold(comparison.labels[i]), _line(comparison, i)
        ends = [KEY_LEFT, KEY_LEFT + 0.035]
        figure.add_artist(Line2D(ends, [y / height] * 2, transform=figure.transFigure, **style))
        more = LINE * label.count("\n")
        bold = {"color": style["color"], "weight": "bold", "linespacing": 1.1}
        figure.text(KEY_LEFT + 0.045, (y + 0.07) / height, label, va="top", **bold)
        figure.text(KEY_LEFT + 0.045, (y - 0.1 - more) / height, number, color=MUTED, va="top", size=8)
        y -= ENTRY + more
    absent = [fold(label) for i, label in enumerate(comparison.labels) if i not in dict(entries)]
    if absent:
        text = "does not finish:\n" + "\n".join(absent)
        figure.text(KEY_LEFT, (y + 0.07) / height, text, color=MUTED, va="top", size=8)


def _title(axes: Axes, text: str) -> None:
    """What the vertical axis counts, said horizontally above it."""
    axes.set_title(text, loc="left", size=9, color=MUTED, pad=5)


def _spread(x: Any, y: Any, most: int) -> Any:
    """Row numbers of at most about `most` points, even in share and, in the tails, in latency too."""
    n = x.size
    if n <= most:
        return np.arange(n)
    even = np.linspace(0, n - 1, most // 2).astype(int)
    tail = n - 1 - np.unique(np.geomspace(1, n, most // 4).astype(int) - 1)
    head = np.unique(np.geomspace(1, n, most // 4).astype(int) - 1)
    return np.unique(np.concatenate((even, tail, head)))


def _time_scale(comparison: Comparison) -> tuple[float, str]:
    if comparison.unit != "s":
        return 1.0, "rounds"
    done = [float(r.finish[r.done].max() - np.nanmin(r.arrival)) for _, r in _drawable(comparison)]
    span = max(done, default=1.0)
    return (3600.0, "hours") if span > 3 * 3600 else (60.0, "minutes") if span > 600 else (1.0, "seconds")


def _unit_name(unit: str) -> str:
    return "seconds" if unit == "s" else unit

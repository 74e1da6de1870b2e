"""The chart of a sweep: mean latency against rate, a curve for each policy, a panel for each KV budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvolume.report.house import BEST, COLOURS, KEY_LEFT, MUTED, STYLES, blank, fold, formatter, house, save, short
from kvolume.report.sweep import heading
from kvolume.study.findings import Curve, Findings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, ENTRY = 0.155, 0.42  # inches of the key: a further line of a label, an entry


def draw(findings: Findings, folder: Path) -> list[Path]:
    """Write latency.svg into `folder`. Raises MissingExtraError."""
    with house():
        figure = latency(findings)
    return [save(figure, folder / "latency.svg")]


def latency(findings: Findings) -> Figure:
    """Mean latency with its interval, on a logarithmic axis; a dot marks up to where a policy keeps up."""
    from matplotlib.ticker import LogLocator, NullLocator

    budgets, styles = findings.spec.kv_tokens, _styles(findings)
    labels = [curve.label for curve in findings.curves[: len(styles)]]
    wanted = 1.15 + sum(ENTRY + LINE * fold(label).count("\n") for label in labels)
    height = max(1.15 + 2.6 * len(budgets), wanted)
    figure, panels = blank("Latency against rate", heading(findings), len(budgets), height)
    for axes, m in zip(panels, budgets, strict=True):
        for curve in findings.curves:
            if curve.kv_tokens == m:
                _plot(axes, curve, styles[curve.policy])
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(formatter())
        axes.grid(True, which="major")
        title = f"mean latency, {'seconds' if findings.unit == 's' else findings.unit} (logarithmic)"
        axes.set_title(f"{title}, {m:,} KV tokens", loc="left", size=9, color=MUTED, pad=5)
    panels[-1].xaxis.set_major_formatter(formatter())
    what = "requests per second" if findings.spec.rates else "offered load"
    panels[-1].set_xlabel(f"{what}; the dot: the last at which the backlog does not grow")
    _key(figure, findings, styles, height)
    return figure


def _plot(axes: Axes, curve: Curve, style: dict[str, Any]) -> None:
    shown = [(at, p) for at, point in zip(curve.axis, curve.points, strict=True) if (p := point["mean_latency"])]
    x, mean = [at for at, _ in shown], [p.mean for _, p in shown]
    axes.plot(x, mean, **style)
    if all(p.half is not None for _, p in shown):
        low = [max(p.mean - (p.half or 0), p.mean / 20) for _, p in shown]  # an axis of logarithms ends above 0
        axes.fill_between(x, low, [p.mean + (p.half or 0) for _, p in shown], color=style["color"], alpha=0.13, lw=0)
    if curve.sustainable in x:
        at = x.index(curve.sustainable)
        axes.plot([x[at]], [mean[at]], "o", ms=5, color=style["color"])


def _styles(findings: Findings) -> dict[str, dict[str, Any]]:
    """A stroke for each policy; the one that keeps up longest, and is then quickest there, stands out."""
    curves = findings.curves[: len(findings.spec.base.policies)]
    last = [p.mean if (p := curve.points[-1]["mean_latency"]) else float("inf") for curve in curves]
    best = min(range(len(curves)), key=lambda i: (-(curves[i].sustainable or 0), last[i]))
    return {
        curve.policy: BEST if i == best
        else {"color": COLOURS[i % len(COLOURS)], "ls": STYLES[i % len(STYLES)], "lw": 1.5}
        for i, curve in enumerate(curves)
    }  # fmt: skip


def _key(figure: Figure, findings: Findings, styles: dict[str, dict[str, Any]], height: float) -> None:
    from matplotlib.lines import Line2D

    y = height - 0.78
    for curve in findings.curves[: len(styles)]:
        label, style = fold(curve.label), styles[curve.policy]
        figure.add_artist(
            Line2D([KEY_LEFT, KEY_LEFT + 0.035], [y / height] * 2, transform=figure.transFigure, **style)
        )
        bold = {"color": style["color"], "weight": "bold", "linespacing": 1.1}
        figure.text(KEY_LEFT + 0.045, (y + 0.07) / height, label, va="top", **bold)
        more = LINE * label.count("\n")
        if len(findings.spec.kv_tokens) > 1:  # then it is another in each panel
            y -= ENTRY - 0.14 + more
            continue
        up = "never keeps up" if curve.sustainable is None else f"keeps up to {short(curve.sustainable)}"
        figure.text(KEY_LEFT + 0.045, (y - 0.1 - more) / height, up, color=MUTED, va="top", size=8)
        y -= ENTRY + more

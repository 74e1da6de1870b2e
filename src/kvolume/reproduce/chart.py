"""The chart of an outcome as SVG: published beside ours, or lines. The same outcome gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kvolume.report.house import BEST, BUDGET, COLOURS, INK, KEY_LEFT, MUTED, STYLES, WIDTH, formatter, house, save
from kvolume.reproduce.experiment import Curves, Outcome, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.24  # inches that a row of numbers takes


def draw(outcome: Outcome, path: Path) -> Path:
    """Write the chart of an outcome. Raises MissingExtraError."""
    with house():
        figure = _lines(outcome, outcome.curves) if outcome.curves is not None else _pairs(outcome)
    return save(figure, path)


def _figure(
    outcome: Outcome, height: float, left: float, bottom: float, right: float = 0.97
) -> tuple[Figure, Axes]:  # fmt: skip
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((left, bottom / height, right - left, 1 - (bottom + 0.72) / height))
    figure.text(0.012, 1 - 0.12 / height, outcome.title, size=11, weight="bold", color=INK, va="top")
    figure.text(0.012, 1 - 0.34 / height, outcome.paper, size=8.5, color=MUTED, va="top")
    return figure, axes


def _lines(outcome: Outcome, curves: Curves) -> Figure:
    figure, axes = _figure(outcome, 3.9, 0.09, 0.5, KEY_LEFT)
    for i, (name, (x, y)) in enumerate(curves.lines.items()):
        style = BEST if i == 0 else {"color": COLOURS[i % len(COLOURS)], "ls": STYLES[i % len(STYLES)], "lw": 1.5}
        axes.plot(x, y, marker="o", ms=3, label=name, **style)
    if curves.log_x:
        _log(axes, "x")
    if curves.log_y:
        _log(axes, "y")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(curves.x_label)
    axes.set_title(curves.y_label, loc="left", size=9, color=MUTED, pad=5)
    axes.grid(True)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def _pairs(outcome: Outcome) -> Figure:
    """One row for each number: the published one as a ring, ours as a dot or, where it is an interval, as a bar."""
    rows = [r for r in outcome.rows[: outcome.charted] if _values(r)]
    height = 1.2 + ROW * max(1, len(rows))
    longest = max((len(r.what) for r in rows), default=10)
    figure, axes = _figure(outcome, height, min(0.6, 0.03 + 0.0088 * longest), 0.45)
    values = [v for r in rows for v in _values(r)]
    spread = values and min(values) > 0 and max(values) > 12 * min(values)
    for y, row in enumerate(rows):
        if row.published is not None:
            axes.plot([row.published], [y], "o", ms=7.5, mfc="none", mec=BUDGET, mew=1.3, clip_on=False)
        ours = row.ours
        if isinstance(ours, tuple):
            axes.plot(ours, [y, y], "-", lw=3.2, color=BEST["color"], solid_capstyle="butt", clip_on=False)
        elif ours is not None:
            axes.plot([ours], [y], "o", ms=4, color=BEST["color"], clip_on=False)
    axes.set_yticks(range(len(rows)), [r.what for r in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if spread:
        _log(axes, "x")
    elif values and min(values) >= 0:
        axes.set_xlim(left=0)
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)
    key = "ring: published; dot or bar: ours" + ("; logarithmic" if spread else "")
    axes.text(1, 1.01, key, transform=axes.transAxes, ha="right", va="bottom",
              size=8, color=MUTED)  # fmt: skip
    return figure


def _log(axes: Axes, axis: str) -> None:
    """A logarithmic axis with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    getattr(axes, f"set_{axis}scale")("log")
    which = getattr(axes, f"{axis}axis")
    which.set_major_locator(LogLocator(subs=(1, 2, 5)))
    which.set_major_formatter(formatter())
    which.set_minor_formatter(NullFormatter())


def _values(row: Row) -> list[float]:
    ours = row.ours if isinstance(row.ours, tuple) else (row.ours,)
    return [v for v in (row.published, *ours) if v is not None and v != float("inf")]

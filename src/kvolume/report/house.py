"""What all charts have in common: colours, strokes, type, layout, and SVG without a date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvolume.errors import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, BUDGET = "#1a1a1a", "#5c5c5c", "#e3e3e3", "#b3261e"
# Okabe and Ito's colours, which colour-blind readers can tell apart; the line styles tell them apart in grey print.
BEST = {"color": "#0072b2", "ls": "-", "lw": 2.3}
COLOURS = ("#4d4d4d", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
)
HOUSE = {
    "svg.hashsalt": "kvolume",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "figure.facecolor": "white",
    "path.simplify_threshold": 0.2,
}
WIDTH = 7.6  # inches
KEY_LEFT = 0.775  # where the key in the right margin begins, as a share of the width


@contextmanager
def house() -> Iterator[None]:
    """Draw in the house's style. Raises MissingExtraError."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise missing_extra("Drawing charts", "plot", "matplotlib") from None
    with mpl.rc_context(HOUSE):
        yield


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG: the same figure, the same bytes."""
    with house():
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "kvolume"})
    return path


def blank(title: str, caption: str, panels: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels one above the other, and room for a key in the right margin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    bottom, top = 0.48 / height, 1 - 0.72 / height
    figure.subplots_adjust(left=0.075, right=KEY_LEFT - 0.02, bottom=bottom, top=top, hspace=0.28)
    figure.text(0.012, 1 - 0.12 / height, title, size=12, weight="bold", color=INK, va="top")
    figure.text(0.012, 1 - 0.34 / height, caption, size=8.5, color=MUTED, va="top")
    return figure, list(axes)


def fold(label: str, width: int = 17) -> str:
    """A long label on several lines."""
    out, line = [], ""
    for piece in re.findall(r"\([^)]*\)|[^ ,:(]*[ ,:]?", label):
        if line and len(line + piece.rstrip()) > width:
            out.append(line.rstrip())
            line = ""
        line += piece
    return "\n".join([*out, line])


def short(value: float) -> str:
    """Three digits or so: 0.12, 3.4, 1,215, 131k, 2.5M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def formatter() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: short(value))

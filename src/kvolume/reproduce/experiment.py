"""What an experiment gives back: published numbers beside ours, the settings, and what its chart shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Progress = Callable[[str, int, int], None]
Ours = float | tuple[float, float] | None  # a number; the ends of an interval; None: not reached


class Row(NamedTuple):
    """One number of the paper (None: it gives none) beside ours, with the reason where they cannot be equal."""

    what: str
    published: float | None
    ours: Ours
    note: str = ""

    @property
    def difference(self) -> tuple[float, ...] | None:
        """Ours over the published number, less 1; both ends of an interval. None where one of the two is missing."""
        if not self.published or self.ours is None:
            return None
        ends = self.ours if isinstance(self.ours, tuple) else (self.ours,)
        return tuple(x / self.published - 1 for x in ends)


class Curves(NamedTuple):
    """A chart of lines: y over x, a line for each name."""

    x_label: str
    y_label: str
    lines: Mapping[str, tuple[list[float], list[float]]]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Outcome:
    """An experiment that has run. Without `curves` its chart sets the rows' published numbers beside ours."""

    name: str
    title: str
    paper: str
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    curves: Curves | None = None
    charted: int | None = None  # the chart shows so many of the rows

    def to_json(self) -> str:
        """One JSON object; the same bytes for the same settings and seed."""
        rows = [
            {
                "what": r.what, "published": r.published,
                "ours": list(r.ours) if isinstance(r.ours, tuple) else r.ours,
                "difference": None if r.difference is None else list(r.difference), "note": r.note,
            }
            for r in self.rows
        ]  # fmt: skip
        curves = None
        if self.curves is not None:
            curves = self.curves._asdict() | {"lines": {k: list(v) for k, v in self.curves.lines.items()}}
        body = {
            "name": self.name, "title": self.title, "paper": self.paper, "settings": dict(self.settings),
            "rows": rows, "notes": list(self.notes), "curves": curves, "charted": self.charted,
        }  # fmt: skip
        return json.dumps(body, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """The outcome that `to_json` wrote."""
        v = json.loads(text)
        rows = tuple(
            Row(r["what"], r["published"], tuple(r["ours"]) if isinstance(r["ours"], list) else r["ours"], r["note"])
            for r in v["rows"]
        )
        curves = None
        if v["curves"] is not None:
            lines = {k: (x, y) for k, (x, y) in v["curves"].pop("lines").items()}
            curves = Curves(**v["curves"], lines=lines)
        return cls(v["name"], v["title"], v["paper"], v["settings"], rows, tuple(v["notes"]), curves, v["charted"])


class Options(NamedTuple):
    """What a user may set: how many random instances, the seed, and who is told of progress."""

    trials: int | None = None
    seed: int = 0
    progress: Progress | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        """Report progress, if anybody listens."""
        if self.progress is not None:
            self.progress(what, done, total)

"""A table with colour, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from kvolume.study.table import Line


def styled(lines: Iterable[Line]) -> Text:
    """The lines of a table as rich Text: the best value of each column in bold, headings dim."""
    from rich.text import Text

    out = Text()
    for line in lines:
        text = Text(line.text, style="dim" if line.dim else "")
        for start, stop in line.bold:
            text.stylize("bold green", start, stop)
        out.append_text(text).append("\n")
    return out

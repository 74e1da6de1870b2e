"""The table of a comparison with colour, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvolume.study.table import lines

if TYPE_CHECKING:
    from rich.text import Text

    from kvolume.study.comparison import Comparison


def styled(comparison: Comparison, width: int = 100) -> Text:
    """The table of a comparison as rich Text: the best value of each column in bold, headings dim."""
    from rich.text import Text

    out = Text()
    for line in lines(comparison, width):
        text = Text(line.text, style="dim" if line.dim else "")
        for start, stop in line.bold:
            text.stylize("bold green", start, stop)
        out.append_text(text).append("\n")
    return out

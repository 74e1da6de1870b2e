"""Where things are printed: results to stdout; notes, progress and errors to stderr."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from kvolume.study import Comparison
    from kvolume.study.findings import Findings
    from kvolume.study.seeds import Replicated
    from kvolume.study.table import Line

WIDTH = 100  # of tables that go to a file or a pipe


def note(*sentences: str) -> None:
    """Say something to the user beside the result."""
    for sentence in sentences:
        print(f"kvolume: {sentence}", file=sys.stderr)


def paths(written: Iterable[Path], *, to_stderr: bool = False) -> None:
    """The files that were written; the last thing that a command prints."""
    for path in written:
        print(path, file=sys.stderr if to_stderr else sys.stdout)


def show(comparison: Comparison) -> None:
    """Heading, table, sentence and timing of a comparison."""
    from kvolume.report.sentence import heading, sentence, timing
    from kvolume.study.table import lines

    _print(heading(comparison), partial(lines, comparison), sentence(comparison))
    _stdout().print(timing(comparison), style="dim")


def show_seeds(made: Replicated) -> None:
    """Heading, table and sentence of a comparison with several seeds."""
    from kvolume.report.sentence import over_seeds, seeds_heading
    from kvolume.study.table import seed_lines

    _print(seeds_heading(made), partial(seed_lines, made), over_seeds(made))


def show_sweep(findings: Findings) -> None:
    """Heading, tables and what their last columns mean."""
    from kvolume.report.sweep import explained, heading, lines

    _print(heading(findings), partial(lines, findings), explained(findings))


def _print(heading: str, table: Callable[[int], Iterable[Line]], text: str) -> None:
    from kvolume.report.table import styled

    console = _stdout()
    console.print(heading)
    console.print()
    console.print(styled(table(console.width)), soft_wrap=True)
    console.print(textwrap.fill(text, min(console.width, WIDTH)))


def _stdout() -> Console:
    """As wide as the terminal; WIDTH where there is none."""
    from rich.console import Console

    fixed = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(file=sys.stdout, width=fixed, highlight=False, markup=False, emoji=False)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar on stderr for `(what, done, total)`; None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, object] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)  # type: ignore[arg-type]
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield update

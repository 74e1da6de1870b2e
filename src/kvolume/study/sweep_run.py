"""From the options of `kvolume sweep` to its findings and files."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from kvolume.clock import budget, parse_clock
from kvolume.errors import MissingExtraError, ParameterError
from kvolume.study.comparison import Progress
from kvolume.study.findings import Findings
from kvolume.study.spec import kv_tokens
from kvolume.study.sweep import Cell, Records, SweepSpec, run_cells
from kvolume.study.sweep_files import Draw, Partial, write_sweep

MOST_PLACES = 1000  # on an axis


def sweep_all(
    spec: SweepSpec, jobs: int, *, out: Path | None = None, force: bool = False, draw: Draw | None = None,
    progress: Progress | None = None, note: Callable[[str], None] = lambda _: None,
) -> tuple[Findings, list[str], list[Path]]:  # fmt: skip
    """Run what is missing of a sweep, and write it to `out`: the findings, notes for the user, the files."""
    partial = Partial(spec, out, force=force) if out is not None else None
    found: dict[Cell, Records] = partial.finished() if partial is not None else {}
    cells = spec.cells
    if found:
        note(f"{len(found)} of {len(cells)} workloads are finished already; going on with the rest.")
    missing = [cell for cell in cells if cell not in found]
    try:
        for cell, records in run_cells(spec, missing, jobs, progress, done=len(found)):
            found[cell] = records
            if partial is not None:
                partial.keep(cell, records)
    finally:
        if partial is not None and not found:  # a mistake in the spec: nothing to go on with
            partial.remove()
    findings = Findings(spec, [record for cell in cells for record in found[cell]])
    if out is None or partial is None:
        return findings, [], []
    try:
        paths, notes = write_sweep(findings, out, force=force, draw=draw), []
    except MissingExtraError as error:
        paths, notes = write_sweep(findings, out, force=force), [str(error)]
    partial.remove()
    return findings, notes, paths


def parse_axis(text: str, option: str) -> tuple[float, ...]:
    """The numbers of `2,4,8` or of `from:to:step`, both ends included; exact in decimals. Raises ParameterError."""
    wanted = f"{option} must be numbers above 0, such as 2,4,8 or 2:8:0.5 (from:to:step)."
    error = ParameterError(f"{wanted} Got '{text}' instead.")
    try:
        parts = [Decimal(part.strip()) for part in text.split(":" if ":" in text else ",")]
    except InvalidOperation:
        raise error from None
    if not all(part.is_finite() and part > 0 for part in parts):
        raise error
    if ":" not in text:
        return tuple(map(float, parts))
    if len(parts) != 3 or parts[1] < parts[0]:
        raise error
    begin, end, step = parts
    count = int((end - begin) / step) + 1
    if count > MOST_PLACES:
        raise ParameterError(f"{option} '{text}' has {count} places; at most {MOST_PLACES} are allowed.")
    return tuple(float(begin + k * step) for k in range(count))


def budgets(text: str | None, clock: str) -> tuple[int, ...]:
    """The KV budgets of `65536,131072`; by default that of the clock's GPU, as for `compare`. Raises ParameterError."""
    if text is None:
        return (budget(None, parse_clock(clock)),)
    return tuple(kv_tokens(part) for part in text.split(","))


def cores(jobs: int | None) -> int:
    """How many processes: as many as were asked for, else one for each core that may be used."""
    if jobs is not None and jobs < 1:
        raise ParameterError(f"--jobs must be an integer of at least 1. Got {jobs} instead.")
    if jobs is not None:
        return jobs
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

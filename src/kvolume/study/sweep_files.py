"""Where a sweep is kept: a folder of finished workloads while it runs, one folder of results in the end.

Beside OUT there is OUT.partial until the sweep is done, with a small file for each finished workload. Each appears in
one rename, so that a sweep that is killed loses only what was running; started again, it goes on from there.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from kvolume.errors import InputError, ParameterError
from kvolume.study.findings import Findings
from kvolume.study.outputs import SPEC, SUMMARY, check_folder, replacing
from kvolume.study.sweep import Cell, Records, SweepSpec

CURVES, RUNS, DIGEST = "curves.json", "runs.csv", "digest"
Draw = Callable[[Findings, Path], list[Path]]


class Partial:
    """The finished workloads of a sweep that is under way."""

    def __init__(self, sweep: SweepSpec, out: Path, *, force: bool = False) -> None:
        """Raises ParameterError where `out` cannot be written, or another sweep is under way there; `force` ends it."""
        check_folder(out, force=force)
        self.folder = out.absolute().with_name(f"{out.name}.partial")
        self.names = {cell: f"{i:06d}.json" for i, cell in enumerate(sweep.cells)}
        digest = self.folder / DIGEST
        if self.folder.exists():
            if not digest.is_file():
                raise ParameterError(f"'{self.folder}' was not made by a sweep: name another folder for --out.")
            if force:
                shutil.rmtree(self.folder)
            elif digest.read_text(encoding="utf-8") != sweep.digest():
                raise ParameterError(
                    f"'{self.folder}' holds a part of another sweep (other options, another version, or the source has "
                    "changed): name another folder for --out, or drop that part with --force."
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        digest.write_text(sweep.digest(), encoding="utf-8")

    def finished(self) -> dict[Cell, Records]:
        """What earlier runs have finished; a file that cannot be read is as if it were not there."""
        found: dict[Cell, Records] = {}
        for cell, name in self.names.items():
            try:
                found[cell] = json.loads((self.folder / name).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
        return found

    def keep(self, cell: Cell, records: Records) -> None:
        """Write a finished workload, whole or not at all."""
        path = self.folder / self.names[cell]
        new = path.with_suffix(".new")
        new.write_text(json.dumps(records), encoding="utf-8")
        new.rename(path)

    def remove(self) -> None:
        """The sweep is done."""
        shutil.rmtree(self.folder)


def write_sweep(findings: Findings, folder: Path, *, force: bool = False, draw: Draw | None = None) -> list[Path]:
    """Write spec.json, summary.json (a flat record a run), curves.json, runs.csv and what `draw` draws, in one rename.

    The same spec gives the same bytes, on however many cores. Raises ParameterError (see `check_folder`).
    """
    check_folder(folder, force=force)
    try:
        with replacing(folder) as new:
            new.mkdir()
            (new / SPEC).write_text(findings.spec.to_json(), encoding="utf-8")
            (new / SUMMARY).write_text(json.dumps(findings.records, indent=1) + "\n", encoding="utf-8")
            (new / CURVES).write_text(findings.to_json(), encoding="utf-8")
            _write_csv(findings.records, new / RUNS)
            drawn = [path.name for path in draw(findings, new)] if draw is not None else []
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written: {error.strerror or error}.") from None
    return [folder / name for name in (SPEC, SUMMARY, CURVES, RUNS, *drawn)]


def _write_csv(records: Records, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)

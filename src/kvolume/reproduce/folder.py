"""Results in a folder: NAME.json and NAME.svg of each experiment, and `all` of them, resumable."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from kvolume.errors import InputError, KvolumeError, MissingExtraError
from kvolume.reproduce.catalogue import EXPERIMENTS
from kvolume.reproduce.experiment import Outcome, Progress
from kvolume.study.outputs import check_parent, replacing
from kvolume.study.spec import version


def write(outcome: Outcome, folder: Path, options: dict[str, int | None]) -> tuple[list[Path], list[str]]:
    """Write the outcome and its chart; the files, and notes on what is missing. Raises InputError."""
    from kvolume.reproduce.chart import draw

    check_parent(folder / "x")
    notes: list[str] = []
    paths = [folder / f"{outcome.name}.json"]
    try:
        with replacing(paths[0]) as new:
            new.write_text(json.dumps(_stamp(options)) + "\n" + outcome.to_json(), encoding="utf-8")
        chart = folder / f"{outcome.name}.svg"
        try:
            with replacing(chart) as new:
                draw(outcome, new)
            paths.append(chart)
        except MissingExtraError as error:
            notes.append(str(error))
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written: {error.strerror or error}.") from None
    return paths, notes


def read(folder: Path, name: str) -> Outcome | None:
    """The outcome that was written, if there is one."""
    path = folder / f"{name}.json"
    return Outcome.from_json(path.read_text(encoding="utf-8").partition("\n")[2]) if path.is_file() else None


def _stamp(options: dict[str, int | None]) -> dict[str, object]:
    return {"version": version(), **options}


def _current(folder: Path, name: str, options: dict[str, int | None]) -> bool:
    """Was this experiment written with these options by this version?"""
    path = folder / f"{name}.json"
    return path.is_file() and path.read_text(encoding="utf-8").partition("\n")[0] == json.dumps(_stamp(options))


def run_all(
    folder: Path, options: dict[str, int | None], *, force: bool = False, names: Sequence[str] = tuple(EXPERIMENTS),
    progress: Progress | None = None,
) -> dict[str, float]:  # fmt: skip
    """Every experiment, in a process of its own (no two solvers share one); what is there already is kept.

    Returns the seconds that each took, 0 for what was kept. Raises KvolumeError where one fails.
    """
    took: dict[str, float] = {}
    for k, name in enumerate(names):
        if progress is not None:
            progress(f"reproduce {name}", k, len(names))
        if not force and _current(folder, name, options):
            took[name] = 0.0
            continue
        given = [f"--{key}={value}" for key, value in options.items() if value is not None]
        command = [sys.executable, "-m", "kvolume", "reproduce", name, f"--out={folder}", *given]
        begin = perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took[name] = perf_counter() - begin
        if done.returncode:
            raise KvolumeError(f"'{name}' failed: {done.stderr.strip().splitlines()[-1] if done.stderr else 'killed'}")
    return took

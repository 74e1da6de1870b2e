"""A comparison as a folder: spec, summary, times per request, charts. It appears in one rename, or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kvolume.errors import InputError, MissingExtraError, ParameterError
from kvolume.study import requests

if TYPE_CHECKING:
    from kvolume.study.comparison import Comparison

SPEC, SUMMARY, TIMING = "spec.json", "summary.json", "timing.json"
Draw = Callable[["Comparison", Path], list[Path]]


class Written(NamedTuple):
    """The files written, in the order to show them, and notes on what is missing and how to get it."""

    paths: list[Path]
    notes: list[str]


def check_folder(folder: Path, *, force: bool = False) -> None:
    """Raise ParameterError where `folder` cannot be written: before the work is done, not after."""
    if not folder.exists():
        check_parent(folder)
        return
    if not folder.is_dir():
        raise ParameterError(f"--out '{folder}' is a file; name a folder that is empty or does not exist.")
    if not any(folder.iterdir()):
        return
    if not force:
        raise ParameterError(
            f"--out '{folder}' exists and is not empty: name another folder, or replace it with --force."
        )
    if not (folder / SPEC).is_file():
        raise ParameterError(
            f"--force replaces only what kvolume wrote, and '{folder}' has no {SPEC}: name another folder for --out."
        )


def check_file(path: Path, *, force: bool = False, option: str = "--out") -> None:
    """Raise ParameterError where a file cannot be written at `path`."""
    if path.is_dir():
        raise ParameterError(f"{option} '{path}' is a folder; name a file.")
    if path.exists() and not force:
        raise ParameterError(f"{option} '{path}' exists: name another file, or replace it with --force.")
    check_parent(path)


def check_parent(path: Path) -> None:
    """Raise ParameterError where what stands above `path` is not a folder that can be written to."""
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ParameterError(f"'{path}' cannot be written: '{parent}' is not a folder that allows it.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place at the end; it is removed where something fails."""
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        # The suffix stays: writers choose the format by it.
        new, old = Path(scratch) / path.name, Path(scratch) / "old"
        yield new
        if path.is_dir():
            path.rename(old)
        new.rename(path)


def write_folder(comparison: Comparison, folder: Path, *, force: bool = False, draw: Draw | None = None) -> Written:
    """Write a comparison: spec.json, summary.json, timing.json, requests.parquet (or .csv) and what `draw` draws.

    All but timing.json are the same bytes for the same spec. Raises ParameterError (see `check_folder`).
    """
    check_folder(folder, force=force)
    notes: list[str] = []
    try:
        with replacing(folder) as new:
            new.mkdir()
            (new / SPEC).write_text(comparison.spec.to_json(), encoding="utf-8")
            (new / SUMMARY).write_text(comparison.to_json(timings=False), encoding="utf-8")
            (new / TIMING).write_text(_timing(comparison), encoding="utf-8")
            parquet = requests.has_parquet()
            if not parquet:
                notes.append("requests.csv is written; for requests.parquet: pip install 'kvolume[parquet]'")
            named = list(zip(comparison.spec.policies, comparison.results, strict=True))
            requests.write(named, new / ("requests.parquet" if parquet else "requests.csv"))
            if draw is not None:
                try:
                    draw(comparison, new)
                except MissingExtraError as error:
                    notes.append(str(error))
    except OSError as error:
        raise InputError(f"'{folder}' cannot be written: {error.strerror or error}.") from None
    names = [
        SPEC,
        SUMMARY,
        TIMING,
        *sorted(p.name for p in folder.iterdir() if p.name not in (SPEC, SUMMARY, TIMING)),
    ]
    return Written([folder / name for name in names], notes)


def _timing(comparison: Comparison) -> str:
    rows = [{k: row[k] for k in ("policy", "wall_seconds", "requests_per_second")} for row in comparison.rows]
    return json.dumps({"policies": rows}, indent=2) + "\n"

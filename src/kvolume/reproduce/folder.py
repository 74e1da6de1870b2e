"""Results in a folder: NAME.json and NAME.svg of each experiment, and `all` of them, resumable."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from kvolume.errors import InputError, KvolumeError, MissingExtraError, ParameterError
from kvolume.reproduce.catalogue import EXPERIMENTS
from kvolume.reproduce.experiment import Outcome, Progress
from kvolume.reproduce.render import outcome_markdown
from kvolume.study.outputs import check_parent, replacing
from kvolume.study.spec import version

Given = Mapping[str, int | None]  # options
MADE = "<!-- made by: kvolume reproduce all -->"
INTRODUCTION = f"""{MADE}
# The papers again

Every experiment of the papers that kvolume implements, run here: the published number, ours, and the difference.
`kvolume reproduce NAME` runs one of them and writes its numbers and its chart; `kvolume reproduce all --out
docs/reproduce` makes this page. Where a published number cannot be reached, or the paper gives none, the reason is
below the table. An interval holds the true value. How near anything comes to a *guarantee* is on
[its own page](guarantees.md).
"""


def write(outcome: Outcome, folder: Path, options: Given) -> tuple[list[Path], list[str]]:
    """Write the outcome and its chart; the files, and notes on what is missing. Raises InputError."""
    from kvolume.reproduce.chart import draw

    check_parent(folder / "x")
    notes: list[str] = []
    paths = [folder / f"{outcome.name}.json"]
    body = {"made_by": _stamp(options)} | json.loads(outcome.to_json())
    try:
        with replacing(paths[0]) as new:
            new.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
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
    return Outcome.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def _stamp(options: Given) -> dict[str, object]:
    return {"version": version(), **options}


def _current(folder: Path, name: str, options: Given) -> bool:
    """Was this experiment written with these options by this version?"""
    path = folder / f"{name}.json"
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("made_by") == _stamp(options)


def page(folder: Path) -> str:
    """All outcomes in a folder as one page of Markdown, with links to the charts."""
    found = [outcome for name in EXPERIMENTS if (outcome := read(folder, name)) is not None]
    sections = []
    for outcome in found:
        chart = f"{folder.name}/{outcome.name}.svg" if (folder / f"{outcome.name}.svg").is_file() else None
        sections.append(outcome_markdown(outcome, chart))
    return "\n".join([INTRODUCTION, *sections])


def write_page(folder: Path) -> Path:
    """Write the page beside the folder, as FOLDER.md. Raises ParameterError where that file is somebody else's."""
    path = folder.with_name(f"{folder.name}.md")
    if path.exists() and not path.read_text(encoding="utf-8").startswith(MADE):
        raise ParameterError(f"'{path}' was not made by `kvolume reproduce all`: name another folder for --out.")
    with replacing(path) as new:
        new.write_text(page(folder), encoding="utf-8")
    return path


def run_all(
    folder: Path, options: Given, *, force: bool = False, names: Sequence[str] = tuple(EXPERIMENTS),
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

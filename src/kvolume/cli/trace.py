"""`kvolume trace list | info | generate | convert | fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import File, Force, Json, Source, Workload, spec_of

Target = Annotated[File, Parameter(help="File to write: .csv, .jsonl or .parquet.", required=True)]


def list_(*, json: Json = False) -> None:
    """List built-in workloads and the public traces that `fetch` knows."""
    from kvolume.report import traces

    print(traces.list_json() if json else traces.list_text(), end="")


def info_(source: Source, /, *, options: Workload | None = None, json: Json = False) -> None:
    """Describe a workload: sizes, lengths, arrivals, load."""
    from kvolume.cli import console
    from kvolume.report import traces
    from kvolume.study.workloads import described

    spec = spec_of(source, options)
    workload = described(spec)
    console.note(*workload.notes)
    print(traces.info_json(workload, spec) if json else traces.info_text(workload, spec), end="")


def generate_(
    name: Annotated[str, Parameter(help="A built-in workload.")],
    /,
    *,
    out: Target,
    options: Workload | None = None,
    force: Force = False,
) -> None:
    """Write a built-in workload to a file, at its recorded rate unless a load, rate or burst is given."""
    from kvolume.cli import console
    from kvolume.study.workloads import generate
    from kvolume.workload.write import write

    workload = generate(spec_of(name, options))
    console.note(*workload.notes)
    console.paths([Path(write(workload, out, force=force))])


def convert_(
    source: Source,
    out: Annotated[File, Parameter(help="File to write: .csv, .jsonl or .parquet.")],
    /,
    *,
    skip_bad_rows: Annotated[
        bool, Parameter(help="Leave out rows that cannot be used.", negative=(), show_default=False)
    ] = False,
    force: Force = False,
) -> None:
    """Read a request log in any known format and write it in kvolume's own columns."""
    from kvolume.cli import console
    from kvolume.workload.read import read
    from kvolume.workload.write import write

    workload = read(source, skip_bad_rows=skip_bad_rows)
    console.note(*workload.notes)
    console.paths([Path(write(workload, out, force=force))])


def fetch_(
    name: Annotated[str, Parameter(help="A public trace (`kvolume trace list`).")],
    /,
    *,
    out: Annotated[File, Parameter(help="File, or folder to put it in.")] = Path(),
    url: Annotated[str | None, Parameter(help="Another address to get it from.")] = None,
    sha256: Annotated[str | None, Parameter(help="The checksum that the file must have.")] = None,
    force: Force = False,
) -> None:
    """Download a public trace from its own home and check it."""
    import warnings

    from kvolume.cli import console
    from kvolume.workload.fetch import fetch

    with console.progress() as progress, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = None if progress is None else lambda done, total: progress(name, done, total or 0)
        path = fetch(name, out, url=url, sha256=sha256, progress=report, force=force)
    console.note(*(str(warning.message) for warning in caught))
    console.paths([path])

"""`kvolume compare`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import (
    DEFAULT_SOURCE,
    OUTPUT,
    WORKLOAD,
    Bound,
    Engine,
    File,
    Force,
    Json,
    Policies,
    Source,
    Workload,
    integer_option,
    spec_of,
)
from kvolume.study.defaults import DEFAULT_POLICIES


def compare(
    source: Source = DEFAULT_SOURCE,
    /,
    *,
    policy: Policies = DEFAULT_POLICIES,
    options: Workload | None = None,
    engine: Engine | None = None,
    seeds: Annotated[int, integer_option("Run with so many seeds: means with intervals.", group=WORKLOAD)] = 1,
    bound: Bound = "fast",
    spec: Annotated[File | None, Parameter(help="Run the spec.json of an earlier --out, instead of options.")] = None,
    json: Json = False,
    out: Annotated[File | None, Parameter(help="Folder for spec, summary, requests and charts.", group=OUTPUT)] = None,
    force: Force = False,
) -> None:
    """Compare policies on one workload, and each with the best that any schedule could do."""
    from kvolume.cli import console
    from kvolume.errors import ParameterError
    from kvolume.report.charts import draw
    from kvolume.study.comparison import run
    from kvolume.study.outputs import check_folder, write_folder
    from kvolume.study.seeds import replicate
    from kvolume.study.spec import only_spec
    from kvolume.study.workloads import prepare

    what = spec_of(source, options, engine, policies=policy, bound=bound)
    if spec is not None:
        what = only_spec(spec, what)
    if seeds != 1:
        if out is not None:
            raise ParameterError("--seeds and --out exclude each other: take --json, or `kvolume sweep --out`.")
        with console.progress() as progress:
            replicated = replicate(what, seeds, progress=progress)
        print(replicated.to_json(), end="") if json else console.show_seeds(replicated)
        return
    if out is not None:
        check_folder(out, force=force)
    workload = prepare(what)
    console.note(*workload.notes)
    with console.progress() as progress:
        comparison = run(what, workload, progress=progress)
    written = write_folder(comparison, out, force=force, draw=draw) if out is not None else None
    if json:
        print(comparison.to_json(), end="")
    else:
        console.show(comparison)
    if written:
        console.note(*written.notes)
        console.paths(written.paths, to_stderr=json)

"""`kvolume simulate`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import DEFAULT_SOURCE, OUTPUT, Engine, File, Force, Json, Source, Workload, spec_of


def simulate(
    source: Source = DEFAULT_SOURCE,
    /,
    *,
    policy: Annotated[str, Parameter(help="The policy, such as svf or svf:share=0.1.")] = "svf",
    options: Workload | None = None,
    engine: Engine | None = None,
    json: Json = False,
    out: Annotated[
        File | None, Parameter(help="File for the requests: .csv, .parquet or .jsonl.", group=OUTPUT)
    ] = None,
    perfetto: Annotated[
        File | None, Parameter(help="File for a timeline (ui.perfetto.dev), .json.", group=OUTPUT)
    ] = None,
    force: Force = False,
) -> None:
    """Simulate one policy: times per request, and a timeline to look at."""
    from kvolume.cli import console
    from kvolume.report import perfetto as timeline
    from kvolume.study import outputs, requests
    from kvolume.study.comparison import run
    from kvolume.study.workloads import prepare

    spec = spec_of(source, options, engine, policies=(policy,))
    if out is not None:
        requests.check_format(out)
        outputs.check_file(out, force=force)
    if perfetto is not None:
        outputs.check_file(perfetto, force=force, option="--perfetto")
    workload = prepare(spec)
    console.note(*workload.notes)
    with console.progress() as progress:
        comparison = run(spec, workload, progress=progress)
    result = comparison.results[0]
    if out is not None:
        with outputs.replacing(out) as new:
            requests.write([(policy, result)], new)
    if perfetto is not None:
        with outputs.replacing(perfetto) as new:
            console.note(*timeline.write(result, new))
    if json:
        print(comparison.to_json(), end="")
    else:
        console.show(comparison)
    console.paths([path for path in (out, perfetto) if path is not None], to_stderr=json)

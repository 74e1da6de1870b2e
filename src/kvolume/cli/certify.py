"""`kvolume certify`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import DEFAULT_SOURCE, Bound, Json, Source, Workload, spec_of


def certify(
    source: Source = DEFAULT_SOURCE,
    /,
    *,
    options: Workload | None = None,
    bound_only: Annotated[
        bool, Parameter(help="Ignore a log's finish times.", negative=(), show_default=False)
    ] = False,
    bound: Bound = "fast",
    json: Json = False,
) -> None:
    """Prove how low mean latency could be at best; for a log with finish times, how near it came."""
    from kvolume.cli import console
    from kvolume.report.certificate import certificate_text
    from kvolume.study.certify import certify as run

    clock_given = options is not None and options.clock is not None
    result = run(spec_of(source, options, bound=bound), clock_given=clock_given, bound_only=bound_only)
    console.note(*result.workload.notes)
    print(result.to_json() if json else certificate_text(result), end="")

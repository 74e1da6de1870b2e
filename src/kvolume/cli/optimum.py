"""`kvolume optimum`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from kvolume.cli.app import Json, Source, Workload, spec_of


def optimum(
    source: Source,
    /,
    *,
    options: Workload | None = None,
    time_limit: Annotated[float, Parameter(help="Seconds after which the best schedule so far is shown.")] = 60,
    solver: Annotated[Literal["highs", "cp-sat"], Parameter(help="The solver.")] = "highs",
    json: Json = False,
) -> None:
    """Find the best schedule of a small workload by integer programming; say so only where it is proven."""
    from kvolume.cli import console
    from kvolume.report.certificate import optimum_text
    from kvolume.study.certify import optimum as run

    result = run(spec_of(source, options), time_limit_s=time_limit, solver=solver)
    console.note(*result.workload.notes)
    print(result.to_json() if json else optimum_text(result), end="")

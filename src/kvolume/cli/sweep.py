"""`kvolume sweep`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Group, Parameter

from kvolume.cli.app import DEFAULT_SOURCE, OUTPUT, Engine, File, Force, Json, Policies, Source, integer_option
from kvolume.study.defaults import DEFAULT_POLICIES

SWEEP = Group("Sweep", sort_key=1)


def sweep(
    source: Source = DEFAULT_SOURCE,
    /,
    *,
    policy: Policies = DEFAULT_POLICIES,
    rates: Annotated[
        str | None, Parameter(help="Requests per second: 2,4,8 or from:to:step, such as 2:8:0.5.", group=SWEEP)
    ] = None,
    loads: Annotated[
        str | None,
        Parameter(help="Offered KV volume over capacity, likewise; 0.5:1.2:0.1 without --rates.", group=SWEEP),
    ] = None,
    kv_tokens: Annotated[
        str | None, Parameter(help="KV cache budgets in tokens, likewise; one is usual.", group=SWEEP)
    ] = None,
    seeds: Annotated[int, integer_option("So many seeds for each.", group=SWEEP)] = 5,
    seed: Annotated[int, integer_option("The first of them.", group=SWEEP)] = 0,
    num_prompts: Annotated[int | None, integer_option("Draw so many requests for each run.", group=SWEEP)] = None,
    arrivals: Annotated[str | None, Parameter(help="poisson, gamma:cv=2 or onoff:on=..,off=..", group=SWEEP)] = None,
    clock: Annotated[str, Parameter(help="As for compare.", group=SWEEP)] = "unit",
    predict: Annotated[str | None, Parameter(help="As for compare.", group=SWEEP)] = None,
    skip_oversized: Annotated[
        bool, Parameter(help="As for compare.", group=SWEEP, negative=(), show_default=False)
    ] = False,
    options: Engine | None = None,
    jobs: Annotated[int | None, integer_option("Processes at once; as many as there are cores.")] = None,
    json: Json = False,
    out: Annotated[
        File | None,
        Parameter(help="Folder for spec, runs, curves, chart; goes on where it was interrupted.", group=OUTPUT),
    ] = None,
    force: Force = False,
) -> None:
    """Latency against rate: policies over rates, KV budgets and seeds, and up to which rate each keeps up."""
    from dataclasses import asdict

    from kvolume.cli import console
    from kvolume.report.sweep_chart import draw
    from kvolume.study.spec import CompareSpec
    from kvolume.study.sweep import SweepSpec
    from kvolume.study.sweep_run import budgets, cores, parse_axis, sweep_all

    base = CompareSpec(
        source=source, policies=policy, num_prompts=num_prompts, seed=seed, arrivals=arrivals, clock=clock,
        predict=predict, skip_oversized=skip_oversized, **asdict(options or Engine()),
    )  # fmt: skip
    if rates is None and loads is None:
        loads = "0.5:1.2:0.1"
    spec = SweepSpec(
        base=base,
        rates=parse_axis(rates, "--rates") if rates is not None else (),
        loads=parse_axis(loads, "--loads") if loads is not None else (),
        kv_tokens=budgets(kv_tokens, clock),
        seeds=seeds,
    )
    with console.progress() as progress:
        findings, notes, paths = sweep_all(
            spec, cores(jobs), out=out, force=force, draw=draw, progress=progress, note=console.note
        )
    if json:
        print(findings.to_json(), end="")
    else:
        console.show_sweep(findings)
    console.note(*notes)
    console.paths(paths, to_stderr=json)

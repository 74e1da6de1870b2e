"""One policy on one workload: `simulate`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Literal

import numpy as np

from kvolume.clock import Clock, budget, parse_clock
from kvolume.engine import leap, rounds, serving_leap
from kvolume.engine import serving as serving_steps
from kvolume.engine.instance import Instance, prepare
from kvolume.engine.result import Result, Run, in_unit
from kvolume.engine.serving_config import ServingConfig, check_servable, check_served, parse_serving, whole_blocks
from kvolume.engine.watch import Progress, timed
from kvolume.errors import ParameterError, unknown_name
from kvolume.policy import Planner, parse
from kvolume.workload import Workload

Engine = Literal["auto", "rounds", "leap", "serving", "serving-steps", "vllm"]
ENGINES = ("auto", "rounds", "leap", "serving", "serving-steps", "vllm")
GROUP = "kvolume.engines"  # entry points of engines that stand above this room: the user's own vLLM


def simulate(
    workload: Workload,
    policy: str | Planner = "svf",
    *,
    kv_tokens: int | None = None,
    clock: str | Clock = "unit",
    engine: Engine = "auto",
    serving: str | ServingConfig | None = None,
    skip_oversized: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Run `workload` under `policy` with a budget of `kv_tokens`, exactly; by default that of the clock's GPU.

    `engine`: `rounds` steps every round in plain Python and is the specification; `leap` is compiled, leaps from
    event to event and gives the same result; `auto` takes leap where it can. `serving` is what vLLM's scheduler does
    with blocks, chunked prefill and preemption, set up by the options `serving`, on the largest whole number of
    blocks in `kv_tokens`; `serving-steps` is its specification in plain Python; `vllm` is the scheduler of the vLLM
    that is installed, with a simulated GPU. `progress(done, total)` is called
    now and then. Times of the Result are in the workload's unit.

    Raises InputError for a request that can never fit (unless `skip_oversized`: it is then counted as rejected),
    ParameterError for a budget outside [1, 10^9], UnknownNameError for an unknown policy or clock.
    """
    planner = parse(policy) if isinstance(policy, str) else policy
    if isinstance(clock, str):
        clock = parse_clock(clock)
    kv_tokens = budget(kv_tokens, clock)
    if engine in ("serving", "serving-steps", "vllm"):
        return _serve(workload, planner, kv_tokens, clock, engine, serving, skip_oversized, progress)
    if serving is not None:
        raise ParameterError(f"The serving options need engine='serving'. Got engine={engine!r} instead.")
    instance = prepare(workload, planner, kv_tokens, clock, skip_oversized=skip_oversized)
    if engine == "auto":
        engine = "leap" if leap.can_run(planner, instance) else "rounds"
    if engine == "leap":
        if not leap.can_run(planner, instance):
            raise ParameterError(
                f"The engine 'leap' cannot run policy '{planner.name}', which has answers of its own: "
                "use engine='rounds'."
            )
        run, seconds = leap.run(instance, progress)
    elif engine == "rounds":
        run, seconds = timed(rounds.run, instance, progress)
    else:
        raise unknown_name("engine", engine, ENGINES)
    return _result(workload, instance, run, engine, seconds)


def _serve(
    workload: Workload, planner: Planner, kv_tokens: int, clock: Clock, engine: str,
    options: str | ServingConfig | None, skip_oversized: bool, progress: Progress | None,
) -> Result:  # fmt: skip
    """As `simulate`, with vLLM's scheduler."""
    config = options if isinstance(options, ServingConfig) else parse_serving(options or "")
    check_servable(planner)
    kv_tokens = whole_blocks(kv_tokens, config)
    check_served(workload, config, kv_tokens)
    instance = prepare(workload, planner, kv_tokens, clock, skip_oversized=skip_oversized, holding="engine",
                       caps=config.caps(kv_tokens))  # fmt: skip
    if engine == "vllm":
        run, seconds = timed(_above(engine), instance, config, progress)
    elif engine == "serving" and serving_leap.can_run(planner):
        run, seconds = serving_leap.run(instance, config, progress)
    else:
        engine = "serving-steps"
        run, seconds = timed(serving_steps.run, instance, config, progress)
    return _result(workload, instance, run, engine, seconds)


def _above(engine: str) -> Any:
    """The `run` of an engine that stands above this room, found by its entry point."""
    points = entry_points(group=GROUP, name=engine)
    if not points:
        raise ParameterError(f"The engine '{engine}' is not known to this installation: run pip install kvolume again.")
    return next(iter(points)).load()


def _result(workload: Workload, i: Instance, run: Run, engine: str, seconds: float) -> Result:
    n, clock = len(workload), i.clock
    unit = "s" if workload.unit == "s" or not clock.unit else "rounds"

    def scattered(values: Any, fill: Any) -> Any:
        out = np.full(n, fill, values.dtype)
        out[i.rows] = values
        return out

    stays = run.episodes
    return Result(
        workload=workload,
        policy=getattr(i.policy, "label", i.policy.name),
        kv_tokens=i.kv_tokens,
        clock=clock,
        engine=engine,
        status="finished" if run.finished else "livelock",
        arrival=in_unit(workload.arrival_ticks(clock), slice(None), n, clock, unit),
        start=in_unit(run.start, i.rows, n, clock, unit),
        first_token=in_unit(run.first_token, i.rows, n, clock, unit),
        finish=in_unit(run.finish, i.rows, n, clock, unit),
        evictions=scattered(run.evictions, 0),
        queued=scattered(run.queued, False),
        rejected=i.rejected,
        kv_token_ticks=run.kv_token_ticks,
        stays=None if stays is None else stays._replace(request=i.rows[stays.request]),
        segments=run.segments,
        wall_seconds=seconds,
        served=run.served,
        held=run.held,
    )

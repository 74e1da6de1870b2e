"""Lower bounds on the sum of latencies: what no schedule can beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kvolume.bound.busy_time import total_latency_bound
from kvolume.bound.fits import check_fits
from kvolume.bound.result import Bound, LogCertificate
from kvolume.bound.serving import least_lengths, serving_bound
from kvolume.clock import Clock, parse_clock
from kvolume.engine.result import Result
from kvolume.engine.serving_config import ServingConfig
from kvolume.engine.watch import announced
from kvolume.errors import InputError, ParameterError, unknown_name
from kvolume.workload import Workload

KINDS = ("mean busy time", "price", "prefix", "lp")


def lower_bound(
    workload: Workload, kv_tokens: int, *, clock: str | Clock = "unit", kind: str = "mean busy time",
    serving: ServingConfig | None = None,
) -> Bound:  # fmt: skip
    """A proven lower bound on the sum of latencies of every schedule, in the workload's unit.

    `mean busy time` holds for every policy, with any arrivals and any clock, in O(n log n). `prefix` is the
    simpler one of SVF (arXiv 2606.22327, Prop. 3.1): bursts in unit rounds only. `price` and `lp` hold for schedules
    that interrupt nobody (see `uninterrupted`), or start again from zero whom they interrupt, in unit rounds: `price`
    is near the linear relaxation of the integer program at any size, in seconds; `lp` is that relaxation itself, for
    a few hundred requests.
    With `serving` it bounds the engine 'serving' with those options, which holds a token less than the papers' model
    and is capped in sequences and tokens of a step too: mean busy time only.

    Raises InputError for a request that can never fit, ParameterError where the kind does not apply.
    """
    clock = parse_clock(clock) if isinstance(clock, str) else clock
    check_fits(workload, kv_tokens, engine=serving is not None)
    if serving is not None and kind != "mean busy time":
        raise ParameterError(f"The bound '{kind}' does not hold for the engine 'serving': use 'mean busy time'.")
    arrival = workload.arrival_ticks(clock)
    order = np.argsort(arrival, kind="stable")
    s, o, arrival = workload.prompt_tokens[order], workload.output_tokens[order], arrival[order]
    unit = "s" if workload.unit == "s" or not clock.unit else "rounds"
    tick = clock.tick_s if unit == "s" else 1.0
    if kind == "mean busy time":
        with announced():
            if serving is not None:
                s, o = (x[order] for x in least_lengths(workload, serving))
                ticks = serving_bound(arrival, s, o, kv_tokens, clock, serving)
            else:
                ticks = total_latency_bound(arrival, s, o, kv_tokens, clock)
    elif kind == "prefix":
        if arrival.any() or not clock.unit:
            raise ParameterError(
                "The prefix bound holds for bursts (all at time 0) in unit rounds only: use 'mean busy time'."
            )
        volumes = np.sort(workload.volumes())
        n = volumes.size
        ticks = float((volumes * np.arange(n, 0, -1.0)).sum()) / kv_tokens * (1 - 1e-12)
    elif kind in ("lp", "price"):
        if not clock.unit:
            raise ParameterError(f"The {kind} bound is stated in unit rounds: use 'mean busy time' with other clocks.")
        if kind == "price":
            from kvolume.bound.prices import price_bound

            with announced():
                ticks = float(price_bound(arrival, s, o, kv_tokens))
        else:
            from kvolume.bound.program import lp_bound

            ticks = lp_bound(arrival, s, o, kv_tokens)
    else:
        raise unknown_name("bound", kind, KINDS)
    return Bound(ticks * tick, len(workload), kind, unit, any_policy=kind not in ("lp", "price"))


def tightest(workload: Workload, kv_tokens: int, *, clock: str | Clock = "unit") -> Bound:
    """The larger of `mean busy time` and `price`, for schedules that interrupt nobody. Unit rounds only."""
    kinds = ("price", "mean busy time")
    return max((lower_bound(workload, kv_tokens, clock=clock, kind=k) for k in kinds), key=lambda b: b.total_latency)


def uninterrupted(result: Result) -> bool:
    """Did every request run from its start to its completion without a pause or an eviction? Rounds only.

    Then the bounds of schedules that interrupt nobody hold for it.
    """
    if not (result.clock.unit and result.done.any()) or result.evictions[result.done].any():
        return False
    rounds = (result.finish - result.start)[result.done] / result.tick
    return bool((np.rint(rounds) == result.workload.output_tokens[result.done]).all())


def certify_log(workload: Workload, kv_tokens: int, clock: str | Clock) -> LogCertificate:
    """How far from optimal a real log was at most: its mean latency over the bound, in an engine's accounting.

    An engine holds s + u - 1 tokens in the iteration that makes token u. The certificate is valid if no iteration
    of the real engine was shorter than the clock says; that cannot be seen in a log, so it is an assumption.
    Raises InputError for a log without finish times, or with one that finishes before it arrives.
    """
    clock = parse_clock(clock) if isinstance(clock, str) else clock
    if workload.finish_s is None or workload.arrival_s is None:
        raise InputError(f"'{workload.name}' has no finish times: a log needs the columns arrival_s and finish_s.")
    check_fits(workload, kv_tokens, engine=True)
    latency = workload.finish_s - workload.arrival_s
    if (latency <= 0).any():
        row = int(np.argmax(latency <= 0))
        raise InputError(
            f"Request {row + 1} of '{workload.name}' finishes at {workload.finish_s[row]:g} s, "
            f"but arrives at {workload.arrival_s[row]:g} s."
        )
    if clock.unit:  # a real engine's iterations do not begin on a grid: reckon in nanoseconds
        clock = replace(clock, base=clock.tick_ns, tick_ns=1)
    order = workload.arrival_order()
    arrival = clock.ticks(workload.arrival_s[order])
    s, o = workload.prompt_tokens[order], workload.output_tokens[order]
    total = total_latency_bound(arrival, s, o, kv_tokens, clock, "engine") * clock.tick_s
    mean, bound = float(latency.mean()), total / len(workload)
    assumption = (
        f"Assumption: no iteration of the real engine was shorter than the clock '{clock.name}' says, "
        f"and its KV cache held at most {kv_tokens} tokens."
    )
    warning = ""
    if mean < bound:
        warning = (
            f"The log's mean latency of {mean:.4g} s is below the bound of {bound:.4g} s: the clock is too slow for "
            "this log (or the budget too small), so nothing is certified."
        )
    return LogCertificate(mean, bound, len(workload), assumption, warning)

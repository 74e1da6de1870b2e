"""Bounds, certificates of logs and optima, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kvolume.clock import parse_clock
from kvolume.report.sentence import digits, percent

if TYPE_CHECKING:
    from kvolume.study.certify import Certified, Solved
    from kvolume.study.spec import CompareSpec
    from kvolume.workload import Workload


def certificate_text(result: Certified) -> str:
    """The bound of a workload and, for a log, what it proves, with its assumption."""
    bound, spec = result.bound, result.spec
    out = [
        what(spec, result.workload),
        "",
        f"No schedule has a mean latency below {digits(bound.mean_latency)} {unit(bound.unit)} ({bound.kind}).",
    ]
    if result.tight is not None:
        least, rounds = digits(result.tight.mean_latency), unit(bound.unit)
        out.append(f"None that interrupts no request has one below {least} {rounds} ({result.tight.kind}).")
    if result.svf is not None and result.svf.ratio is not None:
        out.append(f"Before anything runs, {result.svf.sentence}")
    if result.log is not None:
        log = result.log
        mean, least = digits(log.mean_latency), digits(log.bound)
        out += [f"The log's mean latency is {mean} s: {log.ratio:.3g} times its bound, {least} s.", log.assumption]
        if log.warning:
            out.append(log.warning)
    return "\n".join(out) + "\n"


def optimum_text(result: Solved) -> str:
    """The optimum where it is proven; else the best schedule found, the bound and the gap."""
    found = result.optimum
    out, rounds = [what(result.spec, result.workload), ""], unit(found.unit)
    least = digits(found.bound / found.requests)
    if found.mean_latency is None or found.total_latency is None or found.gap is None:
        out.append(
            f"No schedule was found in time; none has a mean latency below {least} {rounds}. Raise --time-limit."
        )
        return "\n".join(out) + "\n"
    best = f"mean latency of {digits(found.mean_latency)} {rounds} (total {found.total_latency:,})"
    if found.proven:
        out.append(f"The optimum, proven, has a {best}.")
    else:
        gap = percent(found.gap, up=True)
        out.append(f"The best schedule found has a {best}; it is not proven to be the least:")
        out.append(f"no schedule has a mean below {least} (gap {gap}). Raise --time-limit to narrow it.")
    if found.start is not None:
        starts = ", ".join(map(str, found.start[:40].tolist()))
        out.append(f"Starts, in the order of the requests: {starts}{', ...' if found.start.size > 40 else ''}")
    return "\n".join(out) + "\n"


def what(spec: CompareSpec, workload: Workload) -> str:
    """The workload in one line: size, load, budget, clock."""
    clock = parse_clock(spec.clock)
    load = workload.load(spec.kv_tokens, clock)
    offered = "one burst" if math.isinf(load) else f"load {load:.3g}"
    time = f"rounds of {1000 * clock.tick_s:g} ms" if clock.unit else f"clock {spec.clock}"
    return f"{workload.name}: {len(workload):,} requests, {offered}, {spec.kv_tokens:,} KV tokens, {time}"


def unit(short: str) -> str:
    """A unit in words."""
    return "seconds" if short == "s" else short

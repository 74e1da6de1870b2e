"""What no schedule can beat: the bound of a workload, the certificate of a log, the optimum of a small instance."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kvolume.clock import parse_clock
from kvolume.errors import InputError, ParameterError
from kvolume.study.spec import CompareSpec, version
from kvolume.study.workloads import load_source, prepare, served
from kvolume.workload import Workload

if TYPE_CHECKING:
    from kvolume.bound import Bound, Guarantee, LogCertificate, Optimum


@dataclass(frozen=True, eq=False)
class Certified:
    """A workload with its lower bound, and for a log what really happened against the log's own bound."""

    spec: CompareSpec
    workload: Workload = field(repr=False)
    bound: Bound
    log: LogCertificate | None = None
    tight: Bound | None = None  # of schedules that interrupt nobody, where the spec asks for it
    svf: Guarantee | None = None  # in rounds of equal length

    def to_json(self) -> str:
        """One JSON object."""
        body: dict[str, Any] = head(self.spec, self.workload) | {
            "unit": self.bound.unit,
            "bound": {
                "mean_latency": self.bound.mean_latency,
                "total_latency": self.bound.total_latency,
                "kind": self.bound.kind,
            },
            "guarantee": None if self.svf is None else self.svf.to_dict(),
        }  # fmt: skip
        if self.tight is not None:
            tight = self.tight
            body["tight_bound"] = {
                "mean_latency": tight.mean_latency, "total_latency": tight.total_latency, "kind": tight.kind,
            }  # fmt: skip
        if self.log is not None:
            log = self.log
            body["log"] = {
                "mean_latency": log.mean_latency, "bound": log.bound, "ratio": log.ratio,
                "assumption": log.assumption, "warning": log.warning,
            }  # fmt: skip
        return json.dumps(body, indent=2) + "\n"


@dataclass(frozen=True, eq=False)
class Solved:
    """A small workload with what the integer program found."""

    spec: CompareSpec
    workload: Workload = field(repr=False)
    optimum: Optimum

    def to_json(self) -> str:
        """One JSON object; `proven` says whether the latency is the optimum."""
        found = self.optimum
        body = head(self.spec, self.workload) | {
            "unit": found.unit,
            "optimum": {
                "proven": found.proven,
                "mean_latency": found.mean_latency,
                "total_latency": found.total_latency,
                "bound": {"mean_latency": found.bound / found.requests, "total_latency": found.bound},
                "gap": found.gap,
                "status": found.status,
                "solver": found.solver,
                "start": None if found.start is None else found.start.tolist(),
            },
        }
        return json.dumps(body, indent=2) + "\n"


def certify(spec: CompareSpec, *, clock_given: bool = True, bound_only: bool = False) -> Certified:
    """The bound of the workload of a spec; for a log with finish times that is left as recorded, its certificate too.

    A log needs a clock: raises ParameterError unless `clock_given` (or `bound_only`, which ignores finish times).
    """
    from kvolume.bound import certify_log, guarantee, lower_bound, tightest

    reshaped = any(
        x not in (None, False) for x in (spec.load, spec.request_rate, spec.burst, spec.arrivals, spec.num_prompts)
    )
    log = None
    if not reshaped and not bound_only:
        recorded, _ = load_source(spec)
        if recorded.finish_s is not None:
            if not clock_given:
                raise ParameterError(
                    f"'{recorded.name}' has finish times, and judging them needs --clock, nowhere slower than the "
                    "engine that made the log, such as --clock linear:base=8e-3,kv_token=3e-8. With --bound-only they "
                    "are ignored."
                )
            log = certify_log(fitting(recorded, spec), spec.kv_tokens, parse_clock(spec.clock))
    workload = fitting(prepare(spec), spec)
    bound = lower_bound(workload, spec.kv_tokens, clock=spec.clock)
    tight = tightest(workload, spec.kv_tokens, clock=spec.clock) if spec.bound == "tight" else None
    svf = guarantee("svf", workload, spec.kv_tokens) if parse_clock(spec.clock).unit else None
    return Certified(spec, workload, bound, log, tight, svf)


def optimum(spec: CompareSpec, *, time_limit_s: float = 60, solver: str = "highs") -> Solved:
    """The best schedule of the workload of a spec, proven or not within `time_limit_s` seconds."""
    from kvolume.bound import optimum as solve

    if not 0 < time_limit_s < math.inf:
        raise ParameterError(f"The time limit must be a number of seconds above 0. Got {time_limit_s!r} instead.")
    clock = parse_clock(spec.clock)
    if not clock.unit:
        raise ParameterError(
            f"The optimum is known in rounds of equal length only: --clock must be unit, not {spec.clock}."
        )
    workload = fitting(prepare(spec), spec)
    workload = workload.with_arrivals(workload.arrival_ticks(clock))  # the program knows rounds only
    return Solved(spec, workload, solve(workload, spec.kv_tokens, time_limit_s=time_limit_s, solver=solver))


def fitting(workload: Workload, spec: CompareSpec) -> Workload:
    """The requests that fit; InputError where some do not and are not to be skipped, or where none does."""
    kept = served(workload, spec.kv_tokens)
    lost = len(workload) - (0 if kept is None else len(kept))
    if kept is None:
        raise InputError(f"No request of '{workload.name}' fits into {spec.kv_tokens} KV tokens: raise --kv-tokens.")
    if lost and not spec.skip_oversized:
        raise InputError(
            f"{lost} of {len(workload)} requests of '{workload.name}' can never fit into {spec.kv_tokens} KV tokens: "
            "raise --kv-tokens, or use --skip-oversized to leave them out."
        )
    return kept.noted(f"{lost} requests are larger than the budget and left out.") if lost else kept


def head(spec: CompareSpec, workload: Workload) -> dict[str, Any]:
    """The part of a JSON object that says what it is about."""
    load = workload.load(spec.kv_tokens, parse_clock(spec.clock))
    return {
        "version": version(),
        "workload": {
            "name": workload.name, "requests": len(workload), "load": load if math.isfinite(load) else None,
            "kv_tokens": spec.kv_tokens, "clock": spec.clock, "seed": spec.seed,
        },
    }  # fmt: skip

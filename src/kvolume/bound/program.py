r"""The hindsight optimum as an integer program, and its linear relaxation (MC-SF, arXiv 2502.07115, sec. 3).

    minimise    sum_i sum_t (t + o_i - a_i) x[i,t]
    subject to  sum_t x[i,t] = 1                                                          each i starts once
                sum_i sum_{k = max(a_i, t - o_i)}^{t-1} (s_i + t - k) x[i,k] <= M         in every round t

Starts range over a window that every optimal schedule respects: with a schedule of total latency U at hand, the
latency of i is at most U - sum of o over all others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.bound.fits import check_fits
from kvolume.bound.result import Optimum
from kvolume.engine import simulate
from kvolume.errors import InputError, SolverError, missing_extra, unknown_name
from kvolume.workload import Workload

Ints = npt.NDArray[np.int64]
MOST_ENTRIES = 30_000_000  # of the memory constraint: about 0.5 GB


class Program(NamedTuple):
    """The program as arrays: one column for each (request, start)."""

    request: Ints
    start: Ints
    cost: Ints
    row: Ints  # of the memory constraint, entry by entry: round,
    column: Ints  # column,
    held: Ints  # tokens
    rounds: int
    incumbent: Ints  # starts of a good schedule
    incumbent_total: int


def build(arrival: Ints, s: Ints, o: Ints, kv_tokens: int, width: int | None = None) -> Program:
    """The program of requests in arrival order, each with `width` possible starts from its arrival on.

    By default as many as an optimal schedule can use. Raises InputError where it is too large to write down.
    """
    incumbent = _good_schedule(arrival, s, o, kv_tokens)
    upper = int((incumbent + o - arrival).sum())
    width = width or upper - int(o.sum()) + 1
    if width * int(o.sum()) > MOST_ENTRIES:
        raise InputError(
            f"The integer program of {arrival.size} requests has about {width * int(o.sum()):.1e} entries, "
            f"too many to solve: take fewer or shorter requests (--num-prompts), or use the bound of 'kvolume certify'."
        )
    request = np.repeat(np.arange(arrival.size), width)
    start = arrival[request] + np.tile(np.arange(width), arrival.size)
    columns = np.repeat(np.arange(request.size), o[request])
    step = np.arange(columns.size) - np.repeat(np.cumsum(o[request]) - o[request], o[request]) + 1  # u = 1..o
    row = start[columns] + step
    first = int(row.min())
    return Program(
        request, start, start + o[request] - arrival[request],
        row - first, columns, s[request[columns]] + step, int(row.max()) - first + 1, incumbent, upper,
    )  # fmt: skip


def lp_bound(arrival: Ints, s: Ints, o: Ints, kv_tokens: int, width: int | None = None) -> float:
    """Optimal value of the relaxation: a bound for policies that keep no tokens over an eviction.

    The fewer starts a request may choose from, the better the bound; a `width` beyond the default only weakens it.
    """
    optimize = _scipy("The LP bound")
    p = build(arrival, s, o, kv_tokens, width)
    once, memory = _matrices(p, arrival.size)
    result = optimize.linprog(
        p.cost, A_ub=memory, b_ub=np.full(p.rounds, kv_tokens), A_eq=once, b_eq=np.ones(arrival.size),
        bounds=(0, None), method="highs",
    )  # fmt: skip
    if result.status != 0:
        raise SolverError(f"The LP relaxation was not solved: {result.message}")
    return float(result.fun) * (1 - 1e-7)  # the solver's own tolerance


def optimum(workload: Workload, kv_tokens: int, *, time_limit_s: float = 60.0, solver: str = "highs") -> Optimum:
    """The best schedule in hindsight by integer program: exact for small instances, else schedule, bound and gap.

    Arrivals in rounds (seconds become rounds of 0.03 s). `solver`: `highs` (SciPy) or `cp-sat` (extra `solvers`;
    better from about 20 requests on). `proven` only if the solver proved it. The optimum of the unit-step model
    without preemption: policies that keep tokens over an eviction can beat it.

    Raises InputError for a request that can never fit or a program too large, MissingExtraError, SolverError.
    """
    check_fits(workload, kv_tokens)
    ticks = workload.arrival_ticks()
    order = np.argsort(ticks, kind="stable")
    arrival, s, o = ticks[order], workload.prompt_tokens[order], workload.output_tokens[order]
    p = build(arrival, s, o, kv_tokens)
    if solver == "highs":
        found, dual = _highs(p, arrival.size, kv_tokens, time_limit_s)
    elif solver == "cp-sat":
        from kvolume.bound.cp_sat import solve

        found, dual = solve(p, arrival.size, kv_tokens, time_limit_s)
    else:
        raise unknown_name("solver", solver, ("highs", "cp-sat"))
    bound = float(max(int(o.sum()), int(np.ceil(dual - 1e-6))))  # latencies are whole
    best = p.incumbent
    if found is not None and int((found + o - arrival).sum()) < p.incumbent_total:
        best = found
    total = int((best + o - arrival).sum())
    start = np.empty_like(best)
    start[order] = best
    proven = bound >= total
    status = "optimal" if proven else f"stopped after {time_limit_s:g} s, not proven"
    return Optimum(total, min(bound, float(total)), proven, status, len(workload), solver, start)


def _good_schedule(arrival: Ints, s: Ints, o: Ints, kv_tokens: int) -> Ints:
    """Starts of the best of a few policies."""
    w = Workload(arrival, s, o)
    runs = [simulate(w, name, kv_tokens=kv_tokens) for name in ("svf", "sjf", "svf:backfill=8", "sjf:backfill=8")]
    best = min(runs, key=lambda r: r.total_latency or 0)
    return np.asarray(best.start)


def _matrices(p: Program, n: int) -> tuple[Any, Any]:
    from scipy.sparse import csr_array

    columns = p.request.size
    once = csr_array((np.ones(columns), (p.request, np.arange(columns))), shape=(n, columns))
    memory = csr_array((p.held.astype(float), (p.row, p.column)), shape=(p.rounds, columns))
    return once, memory


def _highs(p: Program, n: int, kv_tokens: int, time_limit_s: float) -> tuple[Ints | None, float]:
    """Starts found (None: none in time) and the proven bound on the total latency."""
    optimize = _scipy("The optimum")
    once, memory = _matrices(p, n)
    with _quiet_stdout():
        result = optimize.milp(
            p.cost, integrality=np.ones(p.request.size), bounds=optimize.Bounds(0, 1),
            constraints=[
                optimize.LinearConstraint(once, 1, 1),
                optimize.LinearConstraint(memory, -np.inf, kv_tokens),
            ],
            options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
        )  # fmt: skip
    if result.status not in (0, 1):
        raise SolverError(f"The integer program was not solved: {result.message}")
    dual = result.mip_dual_bound if result.mip_dual_bound is not None else 0.0
    if result.x is None:
        return None, float(dual)
    chosen = np.flatnonzero(np.asarray(result.x) > 0.5)
    return p.start[chosen[np.argsort(p.request[chosen])]], float(dual)


@contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Send what the solver's C code prints, whatever its options say, to stderr: stdout may be somebody's JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _scipy(feature: str) -> Any:
    try:
        from scipy import optimize
    except ImportError:
        raise missing_extra(feature, "optimum", "SciPy") from None
    return optimize

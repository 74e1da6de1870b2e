"""The same integer program for CP-SAT (extra `solvers`), with the best policy's schedule as a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kvolume.errors import SolverError, missing_extra

if TYPE_CHECKING:
    from kvolume.bound.program import Program

Ints = npt.NDArray[np.int64]


def solve(p: Program, n: int, kv_tokens: int, time_limit_s: float) -> tuple[Ints | None, float]:
    """Starts found (None: none in time) and the proven bound on the total latency."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        raise missing_extra("The solver cp-sat", "solvers", "OR-Tools") from None
    model = cp_model.CpModel()
    x = [model.new_bool_var("") for _ in range(p.request.size)]
    for i in range(n):
        model.add_exactly_one(x[k] for k in np.flatnonzero(p.request == i))
    order = np.argsort(p.row, kind="stable")
    for entries in np.split(order, np.flatnonzero(np.diff(p.row[order])) + 1):
        held, columns = p.held[entries].tolist(), p.column[entries].tolist()
        model.add(cp_model.LinearExpr.weighted_sum([x[c] for c in columns], held) <= kv_tokens)
    model.minimize(cp_model.LinearExpr.weighted_sum(x, p.cost.tolist()))
    for variable, hinted in zip(x, (p.start == p.incumbent[p.request]).tolist(), strict=True):
        model.add_hint(variable, hinted)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit_s
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE or status == cp_model.MODEL_INVALID:
        raise SolverError(f"The integer program was not solved: {solver.status_name(status)}")
    if status == cp_model.UNKNOWN:
        return None, float(solver.best_objective_bound)
    chosen = np.array([k for k, variable in enumerate(x) if solver.boolean_value(variable)], np.int64)
    return p.start[chosen[np.argsort(p.request[chosen])]], float(solver.best_objective_bound)

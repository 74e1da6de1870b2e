"""The conformance suite for policies: what every built-in passes, shipped for those who write their own."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from kvolume.clock import UNIT, Caps, Clock, parse_clock
from kvolume.engine import leap, simulate
from kvolume.engine.instance import prepare
from kvolume.errors import PolicyError
from kvolume.policy import Columns, Planner, Policy, Request, Scale, State, parse
from kvolume.workload import Workload

__all__ = ["check_policy"]


def check_policy(policy: str | Planner, *, seed: int = 0, instances: int = 40) -> None:
    """Run a policy through small instances and raise PolicyError at the first rule that it breaks.

    Checked: the key of one request is its key among all; keys are numbers; decisions do not depend on when or how
    often it is asked (same seed, same result; `plan` leaves the state alone); it can be pickled; it never overruns
    the budget, never starts anything early or twice; every request finishes or the run ends as livelock; the
    compiled engine, where it applies, agrees with the specification.
    """
    planner = parse(policy) if isinstance(policy, str) else policy
    if isinstance(planner, Policy):
        _check_keys(planner)
    for workload, kv_tokens, clock in _instances(seed, instances):
        _check_run(planner, workload, kv_tokens, clock)


def _check_keys(policy: Policy) -> None:
    ids = np.arange(6)
    columns = Columns(ids, np.array([0, 0, 3, 5, 5, 9]), np.array([1, 5, 2, 0, 4, 1]), np.array([3, 1, 4, 2, 2, 1]))
    order = policy.order.fit(Scale(100, 1.0, 6.0, 2.5, Caps(100, 8, 20), UNIT))
    try:
        together = order.keys(columns)
    except ValueError as error:
        raise PolicyError(
            f"The key of policy '{policy.name}' fails on arrays ({error}): use arithmetic and NumPy functions such as "
            "np.where instead of 'if', or override keys()."
        ) from error
    for i in ids.tolist():
        id, arrival, prompt, predicted = (int(column[i]) for column in columns)
        request = Request(id, arrival, prompt, predicted, guess=predicted)
        one = float(order.key(request))
        if not np.isclose(one, float(together[i]), rtol=1e-12) or np.isnan(one):
            raise PolicyError(
                f"Policy '{policy.name}' gives request {i} the key {one} alone and {together[i]} among all."
            )


def _instances(seed: int, count: int) -> Iterator[tuple[Workload, int, Clock]]:
    rng = np.random.default_rng(seed)
    for k in range(count):
        n = int(rng.integers(1, 16))
        s, o = rng.integers(0, 10, n), rng.integers(1, 10, n)
        kv_tokens = int((s + o).max() * rng.uniform(1, 3))
        predicted = np.maximum(1, o + rng.integers(-3, 4, n)) if k % 3 == 2 else None
        if k % 4 == 3:
            times = rng.uniform(0, 0.4, n)
            yield Workload(None, s, o, arrival_s=times, predicted=predicted), kv_tokens, parse_clock("linear")
        else:
            rounds = rng.integers(0, 1 + 30 * (k % 2), n)
            yield Workload(rounds, s, o, predicted=predicted), kv_tokens, parse_clock("unit")


def _check_run(planner: Planner, workload: Workload, kv_tokens: int, clock: Clock) -> None:
    settings: dict[str, Any] = {"kv_tokens": kv_tokens, "clock": clock}
    first = simulate(workload, planner, engine="rounds", **settings)
    where = f"Policy '{planner.name}' on {len(workload)} requests with {kv_tokens} KV tokens"
    for again, why in ((planner, "run again: it keeps state"), (pickle.loads(pickle.dumps(planner)), "pickled")):
        if first.finish.tobytes() != simulate(workload, again, engine="rounds", **settings).finish.tobytes():
            raise PolicyError(f"{where} gives another result when it is {why}.")
    if not (first.done.all() or first.status == "livelock"):
        raise PolicyError(f"{where} ends with requests that never finished.")
    if leap.can_run(planner):
        fast = simulate(workload, planner, engine="leap", **settings)
        if fast.finish.tobytes() != first.finish.tobytes():
            raise PolicyError(f"{where} is scheduled differently by the compiled engine.")
    _check_state_is_left_alone(planner, workload, kv_tokens, clock)


def _check_state_is_left_alone(planner: Planner, workload: Workload, kv_tokens: int, clock: Clock) -> None:
    i = prepare(workload, planner, kv_tokens, clock)
    waiting = [i.request(j) for j in range(len(i))]
    state = State(int(i.arrival.max()), kv_tokens, waiting)
    before = repr(state)
    plans = [repr(i.policy.plan(state)) for _ in range(2)]
    if repr(state) != before:
        raise PolicyError(f"Policy '{planner.name}' changes the state that it is given; work on state.copy().")
    if plans[0] != plans[1]:
        raise PolicyError(f"Policy '{planner.name}' plans differently when it is asked twice: it keeps state.")

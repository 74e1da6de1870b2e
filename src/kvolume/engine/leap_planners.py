"""The fast engine for policies that plan by themselves: a kernel for each, compiled when it is first used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kvolume.engine.instance import Instance, Ints
from kvolume.engine.result import Run, Steps
from kvolume.engine.watch import Progress, watched
from kvolume.policy import Planner
from kvolume.policy.gba import GBA, GBAD
from kvolume.policy.gsa import GSA
from kvolume.policy.gsa_spec import GSASpec
from kvolume.policy.interval import AMin, first_bound
from kvolume.policy.wait import WAIT, NestedWAIT

PlannerKernel = Callable[[Instance, Planner, Progress | None], Run]


def kernel_of(policy: Planner) -> PlannerKernel | None:
    """The kernel that runs a planner; None where it has none. Only the very types of this project have one."""
    return KERNELS.get(type(policy))


def _slices(policy: GSA, m: int) -> Ints:
    """The slices of all levels that a request can be at: up to the first that fills the budget."""
    slices = [policy.slice_of(0)]
    while slices[-1] < m:
        slices.append(policy.slice_of(len(slices)))
    return np.array(slices, np.int64)


def _phases(i: Instance, policy: Planner, progress: Progress | None) -> Run:
    from kvolume.engine.kernels import machine as k
    from kvolume.engine.kernels.phases import phases
    from kvolume.engine.leap import costs_of

    assert isinstance(policy, GSA)
    p, r, z, f, new = k.fresh(i)
    what = _slices(policy, i.kv_tokens), i.kv_tokens, isinstance(policy, GSASpec), isinstance(policy, GBA)
    logs = watched(lambda done: phases(p, *what, costs_of(i.clock), r, z, f, new, done), len(i), progress)
    return k.answer(i, r, z, f, *logs, True)


def _timetable(i: Instance, policy: Planner, progress: Progress | None) -> Run:
    from kvolume.engine.kernels import machine as k
    from kvolume.engine.kernels.timetable import timetable
    from kvolume.engine.leap import costs_of

    assert isinstance(policy, GSA)
    p, r, z, f, new = k.fresh(i)
    what = _slices(policy, i.kv_tokens), i.kv_tokens
    logs = watched(lambda done: timetable(p, *what, costs_of(i.clock), r, z, f, new, done), len(i), progress)
    return k.answer(i, r, z, f, *logs, True)


def _stages(i: Instance, policy: Planner, progress: Progress | None) -> Run:
    from kvolume.engine.kernels import machine as k
    from kvolume.engine.kernels.stages import stages
    from kvolume.engine.leap import costs_of

    assert isinstance(policy, WAIT)
    assert policy.groups is not None
    groups = policy.groups
    p, r, z, f, new = k.fresh(i)
    what = (groups.of, np.array(groups.bounds, np.int64), groups.n, groups.block, i.kv_tokens, policy.waits)
    log, stretches, held, size, paused = watched(
        lambda done: stages(p, *what, costs_of(i.clock), r, z, f, new, done), len(i), progress
    )
    steps = Steps(*np.append(held[:, :size], [[z[k.NOW]], [0], [0]], axis=1)) if paused else None
    return k.answer(i, r, z, f, log, stretches, True, held=steps)


def _interval(i: Instance, policy: Planner, progress: Progress | None) -> Run:
    from kvolume.engine.kernels import machine as k
    from kvolume.engine.kernels.interval import interval
    from kvolume.engine.leap import costs_of

    p, r, z, f, new = k.fresh(i)
    told = zip(i.predicted.tolist(), i.prompt.tolist(), strict=True)
    r[k.GUESS] = [first_bound(lower, prompt, i.kv_tokens) for lower, prompt in told]
    logs = watched(lambda done: interval(p, i.kv_tokens, costs_of(i.clock), r, z, f, new, done), len(i), progress)
    return k.answer(i, r, z, f, *logs, True)


KERNELS: dict[type, PlannerKernel] = {
    GSA: _phases, GSASpec: _phases, GBA: _phases, GBAD: _timetable, WAIT: _stages, NestedWAIT: _stages,
    AMin: _interval,
}  # fmt: skip

"""What the kernels of the planners share: a machine that runs round after round, who is in it, and its log.

A request that began in round `since` with prompt s and k kept tokens holds s + k + 1 + (t - since) tokens in round t,
so that B of them hold HELD + B t in all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.engine.instance import Instance
from kvolume.engine.kernels.jit import ZERO, allocating, inner, rule
from kvolume.engine.kernels.state import (
    KEPT,
    SINCE,
    UNTIL,
    WHO,
    A,
    Costs,
    S,
    duration,
    grown,
    kv_integral,
    prefilled,
    rounds_until,
)
from kvolume.engine.result import NEVER, Episodes, Run, Segments
from kvolume.geometry import attention_pairs as plain_attention_pairs

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

attention_pairs = rule(plain_attention_pairs)

# rows of p, the problem, beyond A, S, O of state.py
GUESSED, MOST = 3, 4
# rows of r, per request: times in ticks; IN the round its present stay began (-1: not running); MADE tokens before it;
# GUESS the present guess
START, FIRST, FINISH, EVICTED, QUEUED, IN, STAY, MADE, GUESS = range(9)
# entries of z: NOW the next round, TICK when it begins, PLANNED the tick of the plan before, NEXT to arrive, SIZE and
# HELD of the batch (see above), PREFILL tokens, PAIRS and FRESH requests of the coming round, CHANGED: a new batch?
NOW, TICK, PLANNED, NEXT, SIZE, HELD, PREFILL, FRESH, CHANGED, STAYS, STRETCHES, PAIRS = range(12)


def fresh(i: Instance) -> tuple[Ints, Ints, Ints, Floats, Ints]:
    """p, r, z, f and the list of the freshly started, before the first round."""
    p = np.stack((i.arrival, i.prompt, i.output, i.guess, i.most))
    r = np.full((9, len(i)), NEVER, np.int64)
    r[[EVICTED, QUEUED, MADE]] = 0
    r[GUESS] = i.guess
    z = np.zeros(12, np.int64)
    z[PLANNED] = -1
    return p, r, z, np.zeros(1), np.empty(len(i), np.int64)


def answer(i: Instance, r: Ints, z: Ints, f: Floats, log: Ints, stretches: Ints, finished: bool, **rest: Any) -> Run:
    """What an engine gives back."""
    segments = None if i.clock.unit else Segments(*stretches[:, : z[STRETCHES]])
    return Run(
        r[START], r[FIRST], r[FINISH], r[EVICTED], r[QUEUED] > 0, Episodes(*log[:, : z[STAYS]]), segments, float(f[0]),
        bool(finished), **rest,
    )  # fmt: skip


@allocating
def roomy(log: Ints, used: int) -> Ints:
    """The log, with room for one more column at least."""
    return grown(log) if used == log.shape[1] else log


@inner
def enter(p: Ints, r: Ints, z: Ints, new: Ints, log: Ints, c: int) -> None:
    """Start a request in the coming round. The log has room."""
    log[WHO, z[STAYS]] = c
    log[SINCE, z[STAYS]] = z[NOW]
    log[UNTIL, z[STAYS]] = -1
    log[KEPT, z[STAYS]] = r[MADE, c]
    r[STAY, c] = z[STAYS]
    z[STAYS] += 1
    r[IN, c] = z[NOW]
    if r[START, c] < 0:
        r[START, c] = z[TICK]
        r[QUEUED, c] = 1 if z[PLANNED] >= p[A, c] else 0
    new[z[FRESH]] = c
    z[FRESH] += 1
    z[SIZE] += 1
    z[HELD] += p[S, c] + r[MADE, c] + 1 - z[NOW]
    z[PREFILL] += p[S, c] + r[MADE, c]
    z[PAIRS] += attention_pairs(ZERO, p[S, c] + r[MADE, c])
    z[CHANGED] = 1


@inner
def leave(p: Ints, r: Ints, z: Ints, log: Ints, c: int) -> None:
    """Out of the cache, before the coming round."""
    log[UNTIL, r[STAY, c]] = z[NOW]
    z[SIZE] -= 1
    z[HELD] -= p[S, c] + r[MADE, c] + 1 - r[IN, c]
    r[IN, c] = -1
    z[CHANGED] = 1


@inner
def step(r: Ints, z: Ints, f: Floats, new: Ints, costs: Costs, stretches: Ints, k: int) -> None:
    """k iterations of everybody here. The stretches have room."""
    held = z[HELD] + z[SIZE] * z[NOW]
    step_with(r, z, f, new, costs, stretches, z[SIZE], held, held, k)


@inner
def up_to_arrival(p: Ints, z: Ints, costs: Costs, working: int, batch: int, k: int) -> int:
    """k rounds, or fewer: those that begin before the next arrival."""
    if z[NEXT] < p.shape[1] and k > 1:
        gap = p[A, z[NEXT]] - z[TICK]
        if duration(k, working, batch, costs) > gap:
            k = min(k, rounds_until(gap, working, batch, costs))
    return max(k, 1)


@inner
def step_with(
    r: Ints, z: Ints, f: Floats, new: Ints, costs: Costs, stretches: Ints, working: int, batch: int, held: int, k: int
) -> None:  # fmt: skip
    """k iterations of `working` requests that hold `batch` tokens, of `held` in all; only one if anybody is fresh."""
    took = duration(k, working, batch, costs) + prefilled(z[PREFILL], z[PAIRS], costs)
    f[0] += kv_integral(k, working, batch, took, costs) + float(held - batch) * took
    if not costs.unit and z[CHANGED] + z[FRESH] > 0:
        stretches[0, z[STRETCHES]] = z[NOW]
        stretches[1, z[STRETCHES]] = z[TICK]
        z[STRETCHES] += 1
    z[CHANGED] = z[FRESH]  # a prefill makes the round after it another one
    z[PLANNED] = z[TICK] + (duration(k - 1, working, batch, costs) if k > 1 else ZERO)
    z[TICK] += took
    z[NOW] += k
    for j in range(z[FRESH]):
        if r[FIRST, new[j]] < 0:
            r[FIRST, new[j]] = z[TICK]
    z[FRESH] = 0
    z[PREFILL] = 0
    z[PAIRS] = 0


@inner
def idle(p: Ints, z: Ints, costs: Costs) -> None:
    """Nothing to do until the next arrival."""
    z[PLANNED] = z[TICK]
    z[TICK] = max(z[TICK], p[A, z[NEXT]])
    z[CHANGED] = 1
    if costs.unit:
        z[NOW] = z[TICK]

"""Any three-answer policy under any clock, leaping from event to event: the fast twin of `rounds`.

Events are completions, outgrown predictions, arrivals, rounds out of memory, and the earliest start of a request
blocked by look-ahead. Between two events the batch is constant, so k rounds of B requests that hold K tokens at
first last k (base + request B) + kv_token (k K + B k(k-1)/2) ticks: closed form, in integers. A round that carries
prefills runs on its own. The five stages below are those of `rounds`, under the same names.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import add, next_from
from kvolume.engine.kernels.jit import ZERO, inner, kernel, rule
from kvolume.engine.kernels.waiting import join, leave_queue
from kvolume.geometry import attention_pairs as plain_attention_pairs
from kvolume.geometry import twice_volume as plain_twice_volume
from kvolume.policy import rules

# isort: off
from kvolume.engine.kernels.state import (
    ADMITTED, ALL, BARREN, BEGIN, BY, BY_ARRIVAL, BY_RANK, DUE, EVICTED, FAR, FINISH, FIRST, FIRST_DUE, GREEDY, GUESS,
    KV_TICKS, LATEST, LOOK_AHEAD, MADE, MOST, NEED_W, NEXT, NOW, PREFILL, PREFILLING, RANDOM, RANK, RESERVED,
    RNG, RUN, SIZE, START, START_ROUND, STAY, STAYS, STRETCHES, THROUGH_LANE, TICK, WAITING, A, Costs, O, Rules, S,
    KEPT, PAIRS, SINCE, UNTIL, WHO, duration, earliest, grown, kv_integral, prefilled, put, rounds_until, take,
)  # fmt: skip
# isort: on

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

takes_oldest = rule(rules.takes_oldest)
raised = rule(rules.raised)
next_random = rule(rules.next_random)
attention_pairs = rule(plain_attention_pairs)
twice_volume = rule(plain_twice_volume)

@inner
def offset(p: Ints, r: Ints, c: int) -> int:
    """w of a running request: it holds w + t tokens in round t."""
    return p[S, c] + r[MADE, c] + 1 - r[BEGIN, c]


@inner
def leave(p: Ints, r: Ints, z: Ints, v: Ints, u: Rules, c: int, size: int, log: Ints) -> None:
    """Take a running request out of the sums and the profile, which has `size` entries."""
    w = offset(p, r, c)
    if u.admission == LOOK_AHEAD:
        take(v, size, r[BEGIN, c] + r[GUESS, c] - r[MADE, c] - 1, w)
    z[NEED_W] -= w
    z[RESERVED] -= p[S, c] + r[GUESS, c]
    log[UNTIL, r[STAY, c]] = z[NOW]


@inner
def due_round(p: Ints, r: Ints, c: int) -> int:
    """The round at whose beginning a running request has completed or outgrown its guess."""
    return r[BEGIN, c] + min(p[O, c], r[GUESS, c]) - r[MADE, c]


@inner
def complete_and_outgrow(p: Ints, r: Ints, z: Ints, v: Ints, u: Rules, log: Ints) -> int:
    """Requests that made their last token leave; used-up guesses are raised. How many left."""
    now = z[NOW]
    if now < z[FIRST_DUE]:
        return 0
    size = z[SIZE]
    stay = 0
    first = FAR
    for j in range(size):
        c = v[RUN, j]
        due = v[DUE, j]
        if due <= now:
            left = size - (j - stay)
            if r[MADE, c] + now - r[BEGIN, c] == p[O, c]:
                leave(p, r, z, v, u, c, left, log)
                r[FINISH, c] = z[TICK]
                z[BARREN] = 0
                continue
            outgrow(p, r, z, v, u, c, left)
            due = due_round(p, r, c)
        v[RUN, stay] = c
        v[DUE, stay] = due
        first = min(first, due)
        stay += 1
    z[SIZE] = stay
    z[FIRST_DUE] = first
    return size - stay


@inner
def outgrow(p: Ints, r: Ints, z: Ints, v: Ints, u: Rules, c: int, size: int) -> None:
    """Raise the guess of a running request until it exceeds what it has generated."""
    generated = r[MADE, c] + z[NOW] - r[BEGIN, c]
    guess = r[GUESS, c]
    while guess <= generated:
        guess = raised(guess, p[MOST, c])
    if u.admission == LOOK_AHEAD:
        ends = r[BEGIN, c] - r[MADE, c] - 1
        take(v, size, ends + r[GUESS, c], offset(p, r, c))
        put(v, size - 1, ends + guess, offset(p, r, c))
    z[RESERVED] += guess - r[GUESS, c]
    r[GUESS, c] = guess


@inner
def choose_victim(p: Ints, r: Ints, z: Ints, v: Ints, u: Rules) -> int:
    """Position in `run` of the next to leave."""
    if u.eviction == LATEST:
        return z[SIZE] - 1
    best = -1
    largest = np.int64(-1)
    for j in range(z[SIZE]):
        c = v[RUN, j]
        generated = r[MADE, c] + z[NOW] - r[BEGIN, c]
        left = twice_volume(p[S, c] + generated, r[GUESS, c] - generated)
        if left >= largest:
            largest = left
            best = j
    return best


@inner
def evict(p: Ints, r: Ints, z: Ints, v: Ints, low: Words, high: Words, u: Rules, log: Ints) -> bool:
    """If the running requests need more than the budget, some leave until the rest fits. Did any?"""
    if z[NEED_W] + z[SIZE] * z[NOW] <= u.m:
        return False
    z[BARREN] += 1
    position = -1
    while z[NEED_W] + z[SIZE] * z[NOW] > u.m or (u.eviction == ALL and z[SIZE] > 0):
        if u.eviction == RANDOM:
            position = position + 1 if position + 1 < z[SIZE] else 0
            z[RNG] = next_random(z[RNG])
            if not z[RNG] / 2147483647 < u.beta:
                continue
        elif u.eviction == ALL:
            position = 0
        else:
            position = choose_victim(p, r, z, v, u)
        c = v[RUN, position]
        leave(p, r, z, v, u, c, z[SIZE], log)
        r[MADE, c] = r[MADE, c] + z[NOW] - r[BEGIN, c] if u.keep else 0
        r[EVICTED, c] += 1
        for j in range(position, z[SIZE] - 1):
            v[RUN, j] = v[RUN, j + 1]
            v[DUE, j] = v[DUE, j + 1]
        z[SIZE] -= 1
        if u.eviction == RANDOM:
            position -= 1
        add(low, high, BY_RANK, p[RANK, c])
        add(low, high, BY_ARRIVAL, c)
        z[WAITING] += 1
    z[FIRST_DUE] = FAR
    for j in range(z[SIZE]):
        z[FIRST_DUE] = min(z[FIRST_DUE], v[DUE, j])
    return True


@inner
def next_start(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, low: Words, high: Words, charge: Floats, u: Rules
) -> tuple[int, bool, int]:  # fmt: skip
    """Who may start now (-1: nobody), whether as head of the arrival lane; else when somebody may."""
    head = -1
    if u.share > 0.0:
        head = next_from(low, high, BY_ARRIVAL, ZERO)
        if not takes_oldest(charge[head], f[THROUGH_LANE], f[ADMITTED], u.share):
            head = -1
    wake = FAR
    place = -1  # in the policy's order; the lane's head comes before all of them
    for tried in range(u.backfill + 1):
        if tried > 0 or head < 0:
            place = next_from(low, high, BY_RANK, place + 1)
            if place >= 0 and p[BY, place] == head:
                place = next_from(low, high, BY_RANK, place + 1)
            if place < 0:
                break
        c = head if tried == 0 and head >= 0 else p[BY, place]
        made = r[MADE, c]
        if u.admission == LOOK_AHEAD:
            t = earliest(v, z[SIZE], p[S, c] + made, r[GUESS, c] - made, u.m, z[NOW])
            wake = min(wake, t)
            fits = t <= z[NOW]
        elif u.admission == GREEDY:
            fits = z[NEED_W] + z[SIZE] * z[NOW] + p[S, c] + made + 1 <= u.limit
        else:
            fits = z[RESERVED] + p[S, c] + r[GUESS, c] <= u.m
        if fits:
            return c, tried == 0 and head >= 0, wake
    return -1, False, wake


@inner
def admit(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, low: Words, high: Words, charge: Floats,
    u: Rules, c: int, lane: bool, log: Ints,
) -> None:  # fmt: skip
    """Start a waiting request in the coming round."""
    leave_queue(p, r, z, f, low, high, charge, u.share, c, lane)
    r[BEGIN, c] = z[NOW]
    v[RUN, z[SIZE]] = c
    v[DUE, z[SIZE]] = due_round(p, r, c)
    z[FIRST_DUE] = min(z[FIRST_DUE], v[DUE, z[SIZE]])
    if u.admission == LOOK_AHEAD:
        put(v, z[SIZE], z[NOW] + r[GUESS, c] - r[MADE, c] - 1, offset(p, r, c))
    z[SIZE] += 1
    z[NEED_W] += offset(p, r, c)
    z[RESERVED] += p[S, c] + r[GUESS, c]
    z[PREFILL] += p[S, c] + r[MADE, c]
    z[PAIRS] += attention_pairs(ZERO, p[S, c] + r[MADE, c])
    z[PREFILLING] += 1
    if r[START, c] < 0:
        r[START, c] = z[TICK]
        r[START_ROUND, c] = z[NOW]
    log[WHO, z[STAYS]] = c
    log[SINCE, z[STAYS]] = z[NOW]
    log[KEPT, z[STAYS]] = r[MADE, c]
    r[STAY, c] = z[STAYS]
    z[STAYS] += 1


@inner
def advance(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, u: Rules, costs: Costs, evicted: bool, wake: int, stretches: Ints
) -> None:  # fmt: skip
    """Leap to the next event: k rounds in which nothing changes."""
    size = z[SIZE]
    held = z[NEED_W] + size * z[NOW]
    k = np.int64(1)
    if z[PREFILLING] == 0 and size > 0 and not evicted:  # admissions resume after a round that evicts
        k = min((u.m - held) // size + 1, z[FIRST_DUE] - z[NOW])
        if wake < FAR:
            k = min(k, wake - z[NOW])
        if z[NEXT] < p.shape[1]:
            gap = p[A, z[NEXT]] - z[TICK]
            if duration(k, size, held, costs) > gap:
                k = min(k, rounds_until(gap, size, held, costs))
    took = duration(k, size, held, costs) + prefilled(z[PREFILL], z[PAIRS], costs)
    f[KV_TICKS] += kv_integral(k, size, held, took, costs)
    if not costs.unit:
        stretches[0, z[STRETCHES]] = z[NOW]
        stretches[1, z[STRETCHES]] = z[TICK]
        z[STRETCHES] += 1
    z[TICK] += took
    z[NOW] += k
    for j in range(size - z[PREFILLING], size):
        if r[FIRST, v[RUN, j]] < 0:
            r[FIRST, v[RUN, j]] = z[TICK]
    z[PREFILLING] = 0
    z[PREFILL] = 0
    z[PAIRS] = 0


@kernel
def general(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, low: Words, high: Words, charge: Floats,
    u: Rules, costs: Costs, progress: Ints,
) -> tuple[Ints, Ints, bool]:  # fmt: skip
    """Run to the end; the result is in r, z and f. The log of stays, that of stretches, whether everybody finished.

    The logs have room to spare: z[STAYS] and z[STRETCHES] columns are filled.
    """
    log = np.empty((4, p.shape[1] + 64), np.int64)
    stretches = np.empty((2, 64), np.int64)
    finished = True
    while True:
        progress[0] += complete_and_outgrow(p, r, z, v, u, log)
        join(p, r, z, low, high)
        evicted = evict(p, r, z, v, low, high, u, log)
        if z[BARREN] >= u.patience:
            finished = False
            break
        wake = FAR
        while not evicted and z[WAITING] > 0:
            c, lane, wake = next_start(p, r, z, f, v, low, high, charge, u)
            if c < 0:
                break
            if z[STAYS] == log.shape[1]:
                log = grown(log)
            admit(p, r, z, f, v, low, high, charge, u, c, lane, log)
        if z[SIZE] == 0 and not evicted:  # nobody runs: wait for an arrival, or end
            if z[NEXT] == p.shape[1]:
                finished = z[WAITING] == 0
                break
            if p[A, z[NEXT]] > z[TICK]:
                z[TICK] = p[A, z[NEXT]]
                if costs.unit:
                    z[NOW] = z[TICK]
            continue
        if z[STRETCHES] == stretches.shape[1]:
            stretches = grown(stretches)
        advance(p, r, z, f, v, u, costs, evicted, wake, stretches)
    for j in range(z[SIZE]):
        log[UNTIL, r[STAY, v[RUN, j]]] = z[NOW]
    return log, stretches, finished

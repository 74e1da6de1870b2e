"""What follows a step of the serving kernel: its length, the tokens it made, who leaves; and how far to leap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import inner, rule
from kvolume.engine.kernels.paged import needed_over, steps_that_fit
from kvolume.geometry import attention_pairs as plain_attention_pairs
from kvolume.policy import rules

# isort: off
from kvolume.engine.kernels.state import FAR, LOOK_AHEAD, Costs, duration, put, rounds_until, take
from kvolume.engine.kernels.serving_state import (
    AFTER, AGAIN, BASE, BATCH, DECODERS, DECODES, DONE, DUES, FINISH, FIRST, FREE, GAPS, GOT, GUESS, HEAD, HELD, ITEM,
    KEY, LAST, LATE, LATES, MADE, MOST, NEXT, NOBODY, NOW, PAIRS, PREFILL, PREFILLING, QUEUED, RESERVED, SERVED, STAY,
    STEADY, SUM_BASE, TICK, TOKENS, TOP, UNTIL, WHO, A, O, Options, delay, due_step, enlist, last_step, leave, made,
)  # fmt: skip
# isort: on

Ints = npt.NDArray[np.int64]

raised = rule(rules.raised)
attention_pairs = rule(plain_attention_pairs)

# rows of the log of stays, and of the log of gaps
REQUEST, SINCE, TO, KEPT = range(4)
GAP, INCREMENT, STEPS, WEIGHT = range(4)


@inner
def weigh(r: Ints, z: Ints, v: Ints, usual: bool) -> None:
    """What the step computes: requests, KV tokens that they hold, prefill tokens, decoders without a longer gap."""
    z[SERVED] = z[STEADY] = z[DECODERS]
    z[HELD] = z[SUM_BASE] + z[DECODERS] * (z[NOW] + 1)
    z[PREFILL] = z[PAIRS] = 0
    if not usual:
        z[SERVED] = z[STEADY] = z[HELD] = 0
        c = z[HEAD]
        while c != NOBODY:
            if r[DECODES, c] and r[GOT, c] > 0:
                z[SERVED] += 1
                z[STEADY] += 1 - r[LATE, c]
                z[HELD] += r[BASE, c] + z[NOW] + 1
            c = r[AFTER, c]
    z[TOKENS] += z[SERVED]
    for k in range(z[PREFILLING]):
        c = v[WHO, k]
        if r[GOT, c] > 0:
            z[SERVED] += 1
            z[HELD] += r[DONE, c]
            z[PREFILL] += r[GOT, c]
            z[PAIRS] += attention_pairs(r[DONE, c] - r[GOT, c], r[DONE, c])
            z[AGAIN] += max(0, min(r[DONE, c], r[TOP, c]) - (r[DONE, c] - r[GOT, c]))
    z[TOKENS] += z[PREFILL]


@inner
def note(z: Ints, gaps: Ints, gap: int, increment: int, steps: int, weight: int) -> None:
    """A run of gaps between tokens, into the log."""
    gaps[GAP, z[GAPS]] = gap
    gaps[INCREMENT, z[GAPS]] = increment
    gaps[STEPS, z[GAPS]] = steps
    gaps[WEIGHT, z[GAPS]] = weight
    z[GAPS] += 1


@inner
def settle_decoders(p: Ints, r: Ints, z: Ints, v: Ints, count: Ints, o: Options, begin: int, gaps: Ints) -> None:
    """After a step that was not as usual: who was late has a longer gap, who got nothing is late now."""
    c = z[HEAD]
    while c != NOBODY:
        if r[DECODES, c]:
            if r[GOT, c] == 0:
                if not r[LATE, c]:
                    r[LATE, c] = 1
                    r[LAST, c] = begin
                    z[LATES] += 1
                delay(p, r, z, v, count, o, c)
            elif r[LATE, c]:
                note(z, gaps, z[TICK] - r[LAST, c], 0, 1, 1)
                r[LATE, c] = 0
                z[LATES] -= 1
            r[GOT, c] = 0
        c = r[AFTER, c]


@inner
def settle_prefills(p: Ints, r: Ints, z: Ints, v: Ints, count: Ints, o: Options, log: Ints, gaps: Ints) -> int:
    """Whose prefill is complete gets a token, and decodes from the next step on, or leaves. How many left."""
    left = 0
    k = 0
    for _ in range(z[PREFILLING]):
        c = v[WHO, k]
        r[GOT, c] = 0
        if r[DONE, c] < r[UNTIL, c]:
            delay(p, r, z, v, count, o, c)
            k += 1
            continue
        if r[FIRST, c] < 0:
            r[FIRST, c] = z[TICK]
        else:
            note(z, gaps, z[TICK] - r[LAST, c], 0, 1, 1)
        if r[MADE, c] + 1 == p[O, c]:
            leave(p, r, z, v, count, o, c, r[DONE, c])
            r[FINISH, c] = z[TICK]
            log[TO, r[STAY, c]] = z[NOW] + 1
            left += 1
            continue
        z[PREFILLING] -= 1
        for j in range(k, z[PREFILLING]):
            v[WHO, j] = v[WHO, j + 1]
        enlist(p, r, z, v, count, o, c)
    return left


@inner
def complete_and_outgrow(p: Ints, r: Ints, z: Ints, v: Ints, count: Ints, o: Options, log: Ints) -> int:
    """Decoders that made their last token leave; used-up guesses are raised. How many left."""
    left = 0
    while z[DUES] > 0 and v[KEY, 0] <= z[NOW]:
        c = v[ITEM, 0]
        z[DUES] = pop(v[KEY], v[ITEM], z[DUES])
        r[QUEUED, c] = 0
        if not r[DECODES, c]:
            continue
        if due_step(p, r, o, c) <= z[NOW]:
            if made(p, r, z, c) == p[O, c]:
                leave(p, r, z, v, count, o, c, r[BASE, c] + z[NOW])
                r[FINISH, c] = z[TICK]
                log[TO, r[STAY, c]] = z[NOW]
                left += 1
                continue
            guess = r[GUESS, c]
            while guess <= made(p, r, z, c):
                guess = raised(guess, p[MOST, c])
            if o.admission == LOOK_AHEAD:
                take(v, z[BATCH], last_step(p, r, c), r[BASE, c] + 1)
                put(v, z[BATCH] - 1, last_step(p, r, c) + guess - r[GUESS, c], r[BASE, c] + 1)
            z[RESERVED] += guess - r[GUESS, c]
            r[GUESS, c] = guess
        r[QUEUED, c] = 1
        z[DUES] = push(v[KEY], v[ITEM], z[DUES], due_step(p, r, o, c), c)
    return left


@inner
def stretch(p: Ints, z: Ints, v: Ints, count: Ints, o: Options, costs: Costs, wake: int) -> int:
    """Steps of pure decoding from this one on in which nothing else happens; takes their blocks."""
    batch = z[BATCH]
    k = min(v[KEY, 0] - z[NOW], 1 + steps_that_fit(count, z[NOW] + 1, o.block, batch, z[FREE]))
    if wake < FAR:
        k = min(k, wake - z[NOW])
    if z[NEXT] < p.shape[1]:
        gap = p[A, z[NEXT]] - z[TICK]
        if duration(k, batch, z[HELD], costs) > gap:
            k = min(k, rounds_until(gap, batch, z[HELD], costs))
    z[FREE] -= needed_over(count, z[NOW] + 1, k - 1, o.block, batch)
    return k

"""vLLM's scheduler, compiled: the fast twin of `engine/serving.py`, which is the specification.

A step in which everybody who runs gets its tokens and blocks costs O(1) and the prefills in it; a stretch of pure
decoding, up to the next completion, arrival, step out of blocks or possible admission, costs O(1) as a whole. Only a
step that is short of blocks or tokens walks through the running requests one by one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import next_from
from kvolume.engine.kernels.jit import inner, kernel, rule
from kvolume.engine.kernels.paged import blocks, earliest_in_blocks, needed
from kvolume.engine.kernels.state import grown
from kvolume.engine.kernels.waiting import join, leave_queue
from kvolume.policy import rules

# isort: off
from kvolume.engine.kernels.state import (
    ADMITTED, BY_ARRIVAL, BY_RANK, FAR, KV_TICKS, LOOK_AHEAD, PEAK, THROUGH_LANE, Costs, duration, kv_integral,
    prefilled,
)  # fmt: skip
from kvolume.engine.kernels.serving_after import (
    KEPT, REQUEST, SINCE, TO, complete_and_outgrow, note, settle_decoders, settle_prefills, stretch, weigh,
)  # fmt: skip
from kvolume.engine.kernels.serving_state import (
    AFTER, BARREN, BASE, BATCH, BUDGET, BY, CAP, DECODERS, DECODES, DONE, FREE, GAPS, GOT, GUESS, HEAD, HELD,
    LATES, MADE, NEXT, NOBODY, NOW, PAIRS, PASSES, PREFILL, PREFILLING, PROTECTED, RESERVED, SERVED,
    START, START_STEP, STAY, STAYS, STEADY, STRETCHES, TAIL, TICK, TOKENS, UNTIL, WAITING, WHO, A, Options, S, enter,
    preempt, victim,
)  # fmt: skip
# isort: on

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

takes_oldest = rule(rules.takes_oldest)


@inner
def capped(z: Ints, left: int) -> int:
    """Tokens left to compute, capped for a long prefill."""
    return z[CAP] if 0 < z[CAP] < left else left


@inner
def continue_running(
    p: Ints, r: Ints, z: Ints, v: Ints, low: Words, high: Words, count: Ints, o: Options, log: Ints
) -> bool:  # fmt: skip
    """Tokens and blocks for the running requests. Is everything as usual: nobody late, passed over or preempted?"""
    z[BUDGET] = o.budget
    tokens = z[DECODERS]
    need = needed(count, z[NOW], o.block)
    for k in range(z[PREFILLING]):
        c = v[WHO, k]
        part = capped(z, r[UNTIL, c] - r[DONE, c])
        if tokens + part > o.budget and c == z[TAIL]:
            part = max(0, o.budget - tokens)
        tokens += part
        need += blocks(r[DONE, c] + part, o.block) - blocks(r[DONE, c], o.block)
        r[GOT, c] = part
    if z[LATES] == 0 and tokens <= o.budget and need <= z[FREE]:
        z[FREE] -= need
        z[BUDGET] -= tokens
        for k in range(z[PREFILLING]):
            r[DONE, v[WHO, k]] += r[GOT, v[WHO, k]]
        return True
    for k in range(z[PREFILLING]):
        r[GOT, v[WHO, k]] = 0
    walk(p, r, z, v, low, high, count, o, log)
    return False


@inner
def walk(p: Ints, r: Ints, z: Ints, v: Ints, low: Words, high: Words, count: Ints, o: Options, log: Ints) -> None:
    """The same one by one, in order of admission, as vLLM does it; whoever gets nothing has GOT 0."""
    c = z[HEAD]
    while c != NOBODY:
        r[GOT, c] = 0
        c = r[AFTER, c]
    c = z[HEAD]
    preempting = 0
    while c != NOBODY and z[BUDGET] > 0:
        done = r[BASE, c] + z[NOW] if r[DECODES, c] else r[DONE, c]
        part = 1 if r[DECODES, c] else capped(z, r[UNTIL, c] - done)
        part = min(part, z[BUDGET])
        need = blocks(done + part, o.block) - blocks(done, o.block)
        gone = False
        while need > z[FREE] and not gone:
            w = victim(p, r, z, o)
            preempt(p, r, z, v, low, high, count, o, w, log, TO)
            preempting = 1
            gone = w == c
        if gone:
            break
        z[FREE] -= need
        z[BUDGET] -= part
        r[GOT, c] = part
        if not r[DECODES, c]:
            r[DONE, c] += part
        c = r[AFTER, c]
    z[BARREN] += preempting


@inner
def earliest_start(p: Ints, r: Ints, z: Ints, v: Ints, rest: Ints, o: Options, c: int) -> int:
    """0 where the waiting request may start now, FAR where not before something else happens, else the first step."""
    known = p[S, c] + r[MADE, c]
    part = capped(z, known)
    if part > z[BUDGET] and not o.chunked:
        return FAR
    whole = known if o.whole else min(part, z[BUDGET])
    if blocks(whole, o.block) + (o.spare if z[BATCH] > 0 else 0) > z[FREE]:
        return FAR
    if z[BATCH] == 0:
        return 0
    if o.admission == LOOK_AHEAD:
        left = r[GUESS, c] - r[MADE, c]
        t = earliest_in_blocks(v, z[BATCH], rest, o.block, known - 1, left, o.m, z[NOW])
        return 0 if t <= z[NOW] else t
    if o.admission == PROTECTED:
        held = 0
        other = z[HEAD]
        while other != NOBODY:
            held += blocks(r[BASE, other] + z[NOW] + 1, o.block) * o.block
            other = r[AFTER, other]
        return 0 if held + known <= o.limit else FAR
    if o.admission == PEAK:
        return 0 if z[RESERVED] + p[S, c] - 1 + r[GUESS, c] <= o.m else FAR
    return 0


@inner
def next_start(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, low: Words, high: Words, charge: Floats, rest: Ints, o: Options
) -> tuple[int, bool, int]:  # fmt: skip
    """Who may start now (NOBODY: no one), whether as head of the arrival lane; else when somebody may."""
    head = NOBODY
    if o.share > 0.0:
        head = next_from(low, high, BY_ARRIVAL, 0)
        if not takes_oldest(charge[head], f[THROUGH_LANE], f[ADMITTED], o.share):
            head = NOBODY
    wake = FAR
    place = -1  # in the policy's order; the lane's head comes before all of them
    for tried in range(o.backfill + 1):
        if tried > 0 or head == NOBODY:
            place = next_from(low, high, BY_RANK, place + 1)
            if place >= 0 and p[BY, place] == head:
                place = next_from(low, high, BY_RANK, place + 1)
            if place < 0:
                break
        c = head if tried == 0 and head != NOBODY else p[BY, place]
        t = earliest_start(p, r, z, v, rest, o, c)
        if t == 0:
            return c, tried == 0 and head != NOBODY, wake
        wake = min(wake, t)
    return NOBODY, False, wake


@inner
def admit(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, low: Words, high: Words, charge: Floats, o: Options, c: int,
    lane: bool, log: Ints,
) -> None:  # fmt: skip
    """Start a waiting request, with as many tokens as it gets in this step."""
    leave_queue(p, r, z, f, low, high, charge, o.share, c, lane)
    enter(p, r, z, v, o, c)
    part = min(capped(z, r[UNTIL, c]), z[BUDGET])
    r[GOT, c] = part
    r[DONE, c] = part
    z[BUDGET] -= part
    z[FREE] -= blocks(part, o.block)
    if r[START, c] < 0:
        r[START, c] = z[TICK]
        r[START_STEP, c] = z[NOW]
    log[REQUEST, z[STAYS]] = c
    log[SINCE, z[STAYS]] = z[NOW]
    log[KEPT, z[STAYS]] = r[MADE, c]
    r[STAY, c] = z[STAYS]
    z[STAYS] += 1


@kernel
def serve(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, low: Words, high: Words, charge: Floats, o: Options, costs: Costs,
    progress: Ints,
) -> tuple[Ints, Ints, Ints, bool]:  # fmt: skip
    """Run to the end; the result is in r, z and f. The logs of stays, stretches and gaps; whether everybody finished.

    The logs have room to spare: z[STAYS], z[STRETCHES] and z[GAPS] columns are filled.
    """
    log = np.empty((4, p.shape[1] + 64), np.int64)
    stretches = np.empty((2, 64), np.int64)
    gaps = np.empty((4, 64), np.int64)
    count = np.zeros(o.block, np.int64)
    rest = np.empty(o.block, np.int64)
    while z[NEXT] < p.shape[1] or z[WAITING] > 0 or z[BATCH] > 0:
        if z[WAITING] == 0 and z[BATCH] == 0:
            z[TICK] = max(z[TICK], p[A, z[NEXT]])
        join(p, r, z, low, high)
        z[CAP] = o.long_prefill if z[BATCH] + z[WAITING] > 1 else 0
        barren = z[BARREN]
        usual = continue_running(p, r, z, v, low, high, count, o, log)
        if z[BARREN] >= o.patience:
            break
        wake = FAR
        while z[BARREN] == barren and z[BUDGET] > 0 and z[WAITING] > 0 and z[BATCH] < o.seqs:
            c, lane, wake = next_start(p, r, z, f, v, low, high, charge, rest, o)
            if c == NOBODY:
                break
            if z[STAYS] == log.shape[1]:
                log = grown(log)
            admit(p, r, z, f, v, low, high, charge, o, c, lane, log)
        weigh(r, z, v, usual)
        begin = z[TICK]
        if z[STRETCHES] == stretches.shape[1]:
            stretches = grown(stretches)
        stretches[0, z[STRETCHES]] = z[NOW]
        stretches[1, z[STRETCHES]] = begin
        z[STRETCHES] += 1
        steps = 1
        took = np.int64(0)
        if usual and z[PREFILLING] == 0 and z[BATCH] > 0:
            steps = stretch(p, z, v, count, o, costs, wake)
            z[TOKENS] += (steps - 1) * z[BATCH]
        if z[SERVED] > 0:
            took = duration(steps, z[SERVED], z[HELD], costs) + prefilled(z[PREFILL], z[PAIRS], costs)
            f[KV_TICKS] += kv_integral(steps, z[SERVED], z[HELD], took, costs)
            z[TICK] += took
            z[PASSES] += steps
        while z[GAPS] + z[BATCH] + 1 > gaps.shape[1]:
            gaps = grown(gaps)
        if z[STEADY] > 0:
            first = took if steps == 1 else duration(1, z[SERVED], z[HELD], costs)
            note(z, gaps, first, costs.kv_token * z[SERVED], steps, z[STEADY])
        if not usual:
            settle_decoders(p, r, z, v, count, o, begin, gaps)
        left = settle_prefills(p, r, z, v, count, o, log, gaps)
        z[NOW] += steps
        left += complete_and_outgrow(p, r, z, v, count, o, log)
        if left > 0:
            z[BARREN] = 0
        progress[0] += left
    c = z[HEAD]
    while c != NOBODY:
        log[TO, r[STAY, c]] = z[NOW]
        c = r[AFTER, c]
    return log, stretches, gaps, z[BARREN] < o.patience

"""What the serving kernel knows: options, the state of requests and of the run, and who is where.

A running request has computed BASE + n tokens before step n, as long as every step gives it one: so a step of pure
decoding changes nothing for any single request. Whoever gets no token in a step has its BASE lowered by one. While
a request prefills, BASE is what it would be if it decoded from now on; what it has really computed is DONE.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import add, empty_sets
from kvolume.engine.kernels.heap import push
from kvolume.engine.kernels.jit import inner, rule
from kvolume.engine.kernels.paged import blocks
from kvolume.engine.kernels.state import BY_ARRIVAL, BY_RANK, LOOK_AHEAD, put, take
from kvolume.geometry import twice_volume as plain_twice_volume

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

twice_volume = rule(plain_twice_volume)

LATEST, LARGEST, LAST_IN_ORDER = range(3)
PROTECTED = 3  # beside the three admissions of state.py


class Options(NamedTuple):
    """The policy's answers and the server's options, as numbers."""

    admission: int
    limit: int  # tokens, of protected admission
    eviction: int
    guesses: bool  # does any answer reckon with predicted lengths?
    backfill: int
    share: float
    m: int  # KV tokens in usable blocks
    block: int
    budget: int  # tokens in a step
    seqs: int
    chunked: bool
    long_prefill: int
    whole: bool  # reserve the whole prompt
    spare: int  # blocks left free by admissions
    patience: int


# rows of p, the problem, in order of arrival. TIE: place in the policy's order, the same for equal keys and arrivals
A, S, O, RANK, BY, MOST, TIE = range(7)

# rows of r, the state of each request; the first seven as in an engine's Run. MADE: output tokens while it waits or
# prefills; UNTIL: tokens to compute in its prefill; GOT: tokens in this step; LAST: when its last token came, kept
# only for those who did not get one in the step before (LATE) or prefill again; TOP: most tokens ever computed
(START, FIRST, FINISH, JOINED, START_STEP, EVICTED, GUESS, MADE, BASE, DONE, UNTIL, DECODES, BEFORE, AFTER, GOT, LATE,
 LAST, TOP, STAY, QUEUED) = range(20)  # fmt: skip

# entries of z, the state of the run, the first five as in state.py (see waiting.py). BATCH: running requests, DECODERS
# those of them that decode, PREFILLING the others, listed in v[WHO]; LATES: decoders that got no token in the step
# before; SUM_BASE over decoders; DUES: size of the heap of due steps; of a step, HELD: KV tokens, SERVED: requests,
# STEADY: decoders not late, PREFILL: tokens; PAIRS: of tokens that attend to each other, of prefills
(NOW, TICK, NEXT, WAITING, BARREN, BATCH, DECODERS, PREFILLING, LATES, FREE, SUM_BASE, RESERVED, HEAD, TAIL, DUES,
 BUDGET, CAP, STAYS, STRETCHES, GAPS, PASSES, TOKENS, AGAIN, HELD, SERVED, STEADY, PREFILL,
 PAIRS) = range(28)  # fmt: skip

# rows of v: KEY and ITEM, a heap of lower bounds of the steps in which decoders are due; E and W of the look-ahead
# profile are rows 2 and 3, as in state.py; WHO, the prefilling requests in order of admission
KEY, ITEM, _E, _W, WHO = range(5)

NOBODY = -1


def fresh(n: int, guess: Ints, free: int) -> tuple[Ints, Ints, Floats, Ints, Words, Words]:
    """r, z, f, v and the sets of waiting requests, before the first step."""
    r = np.full((20, n), -1, np.int64)
    r[EVICTED:] = 0
    r[GUESS] = guess
    z = np.zeros(32, np.int64)
    z[FREE] = free
    z[HEAD] = z[TAIL] = NOBODY
    return r, z, np.zeros(4), np.empty((5, n + 1), np.int64), *empty_sets(2, n)


@inner
def computed(r: Ints, z: Ints, c: int) -> int:
    """Tokens with KV of a running request, those of the step under way included."""
    return r[BASE, c] + z[NOW] + r[GOT, c] if r[DECODES, c] else r[DONE, c]


@inner
def made(p: Ints, r: Ints, z: Ints, c: int) -> int:
    """Output tokens of a running request."""
    return r[BASE, c] + z[NOW] + 1 - p[S, c]


@inner
def last_step(p: Ints, r: Ints, c: int) -> int:
    """The step in which a running request is expected to make its last token, if every step gives it one."""
    return r[GUESS, c] + p[S, c] - 2 - r[BASE, c]


@inner
def due_step(p: Ints, r: Ints, o: Options, c: int) -> int:
    """The step before which a decoder has completed, or outgrown its guess."""
    tokens = min(p[O, c], r[GUESS, c]) if o.guesses else p[O, c]
    return tokens + p[S, c] - 1 - r[BASE, c]


@inner
def enlist(p: Ints, r: Ints, z: Ints, v: Ints, count: Ints, o: Options, c: int) -> None:
    """A running request begins to decode."""
    r[DECODES, c] = 1
    r[LATE, c] = 0
    z[DECODERS] += 1
    z[SUM_BASE] += r[BASE, c]
    count[r[BASE, c] % o.block] += 1
    if not r[QUEUED, c]:
        r[QUEUED, c] = 1
        z[DUES] = push(v[KEY], v[ITEM], z[DUES], due_step(p, r, o, c), c)


@inner
def delay(p: Ints, r: Ints, z: Ints, v: Ints, count: Ints, o: Options, c: int) -> None:
    """A running request makes no token in this step: all that it still has to do moves back by one."""
    if o.admission == LOOK_AHEAD:
        e, w = last_step(p, r, c), r[BASE, c] + 1
        take(v, z[BATCH], e, w)
        put(v, z[BATCH] - 1, e + 1, w - 1)
    if r[DECODES, c]:
        z[SUM_BASE] -= 1
        count[r[BASE, c] % o.block] -= 1
        count[(r[BASE, c] - 1) % o.block] += 1
    r[BASE, c] -= 1


@inner
def enter(p: Ints, r: Ints, z: Ints, v: Ints, o: Options, c: int) -> None:
    """To the end of the running requests, about to prefill."""
    r[DECODES, c] = 0
    r[DONE, c] = 0
    r[GOT, c] = 0
    r[UNTIL, c] = p[S, c] + r[MADE, c]
    r[BASE, c] = r[UNTIL, c] - 1 - z[NOW]
    if o.admission == LOOK_AHEAD:
        put(v, z[BATCH], last_step(p, r, c), r[BASE, c] + 1)
    r[BEFORE, c] = z[TAIL]
    r[AFTER, c] = NOBODY
    if z[TAIL] == NOBODY:
        z[HEAD] = c
    else:
        r[AFTER, z[TAIL]] = c
    z[TAIL] = c
    z[BATCH] += 1
    z[RESERVED] += p[S, c] - 1 + r[GUESS, c]
    v[WHO, z[PREFILLING]] = c
    z[PREFILLING] += 1


@inner
def leave(p: Ints, r: Ints, z: Ints, v: Ints, count: Ints, o: Options, c: int, tokens: int) -> None:
    """Out of the running requests; the blocks of so many tokens are free again."""
    z[FREE] += blocks(tokens, o.block)
    if o.admission == LOOK_AHEAD:
        take(v, z[BATCH], last_step(p, r, c), r[BASE, c] + 1)
    if r[BEFORE, c] == NOBODY:
        z[HEAD] = r[AFTER, c]
    else:
        r[AFTER, r[BEFORE, c]] = r[AFTER, c]
    if r[AFTER, c] == NOBODY:
        z[TAIL] = r[BEFORE, c]
    else:
        r[BEFORE, r[AFTER, c]] = r[BEFORE, c]
    z[BATCH] -= 1
    z[RESERVED] -= p[S, c] - 1 + r[GUESS, c]
    if r[DECODES, c]:
        z[DECODERS] -= 1
        z[SUM_BASE] -= r[BASE, c]
        count[r[BASE, c] % o.block] -= 1
        z[LATES] -= r[LATE, c]
        r[DECODES, c] = 0
    else:
        k = 0
        while v[WHO, k] != c:
            k += 1
        z[PREFILLING] -= 1
        while k < z[PREFILLING]:
            v[WHO, k] = v[WHO, k + 1]
            k += 1


@inner
def preempt(
    p: Ints, r: Ints, z: Ints, v: Ints, low: Words, high: Words, count: Ints, o: Options, c: int, log: Ints, until: int
) -> None:  # fmt: skip
    """A running request gives its blocks back and waits again; its tokens stay. `until`: a row of the log of stays."""
    tokens = computed(r, z, c)
    r[TOP, c] = max(r[TOP, c], tokens - r[GOT, c])
    r[MADE, c] = made(p, r, z, c)
    if r[DECODES, c] and not r[LATE, c]:
        r[LAST, c] = z[TICK]
    leave(p, r, z, v, count, o, c, tokens)
    z[BUDGET] += r[GOT, c]
    r[GOT, c] = 0
    r[LATE, c] = 0
    r[EVICTED, c] += 1
    log[until, r[STAY, c]] = z[NOW]
    add(low, high, BY_RANK, p[RANK, c])
    add(low, high, BY_ARRIVAL, c)
    z[WAITING] += 1


@inner
def victim(p: Ints, r: Ints, z: Ints, o: Options) -> int:
    """Who is preempted next."""
    if o.eviction == LATEST:
        return z[TAIL]
    best = NOBODY
    most = np.int64(-1)
    c = z[HEAD]
    while c != NOBODY:
        if o.eviction == LARGEST:
            generated = made(p, r, z, c)
            value = twice_volume(p[S, c] - 1 + generated, r[GUESS, c] - generated)
            better = value >= most
        else:
            value = p[TIE, c]
            better = value > most
        if better:
            most = value
            best = c
        c = r[AFTER, c]
    return best

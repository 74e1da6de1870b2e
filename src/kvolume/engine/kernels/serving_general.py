"""vLLM's scheduler with prefix caching and speculative decoding, compiled: `engine/serving.py` once more, for speed.

Each step walks through the running requests; nothing is leapt. What neither caches nor speculates runs in
`kernels/serving.py`, whose steps cost less.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner, kernel, rule
from kvolume.engine.kernels.serving_after import GAP, INCREMENT, STEPS, TO, WEIGHT
from kvolume.engine.kernels.serving_gate import BY_END, RUN, SPARE_SLOTS, victim
from kvolume.engine.kernels.serving_queue import enqueue
from kvolume.engine.kernels.serving_starts import admit, capped, count, next_start
from kvolume.engine.kernels.serving_state import Options
from kvolume.engine.kernels.state import FAR, KV_TICKS, Costs, duration, grown, prefilled
from kvolume.policy import rules

# isort: off
from kvolume.engine.kernels.serving_cache import (
    A, AGAIN, BARREN, BATCH, BUDGET, CAP, CONTINUED, DONE, DRAFTS, EVICTED, FINISH, FIRST, FREE, GAPS, GOT, GUESS,
    HELD, JOINED, KEYS_AT, KEY_AT, LAST, LIMIT, MADE, MOST, NEXT, NOW, OUTPUT, PASSES, PAIRS, PREFILL, PREFILLS, PROMPT,
    RANK, S, SEEN, SERVED, SLOT, SLOTS, STAY, STAYS, STRETCHES, TICK, TOP, UNTIL, WAITING, Extras, compute,
    give_back, more, shared_blocks,
)  # fmt: skip
# isort: on

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

draft_accepted = rule(rules.draft_accepted)
raised = rule(rules.raised)


@inner
def drop(v: Ints, row: int, size: int, c: int) -> int:
    """Take a request out of a row of v that has `size` entries; where it was."""
    k = 0
    while v[row, k] != c:
        k += 1
    for i in range(k, size - 1):
        v[row, i] = v[row, i + 1]
    return k


@inner
def leave(r: Ints, z: Ints, v: Ints, q: Ints, own: Ints, c: int, log: Ints, step: int) -> int:
    """Out of the running requests; which place it had."""
    give_back(r, z, q, own, c)
    at = drop(v, RUN, z[BATCH], c)
    drop(v, BY_END, z[BATCH], c)
    z[BATCH] -= 1
    z[SLOTS] += 1
    v[SPARE_SLOTS, z[SLOTS] - 1] = r[c, SLOT]
    r[c, DRAFTS] = 0
    log[TO, r[c, STAY]] = step
    return at


@inner
def continue_running(
    p: Ints, r: Ints, z: Ints, v: Ints, ids: Ints, q: Ints, t: Ints, own: Ints, low: Words, high: Words, o: Options,
    x: Extras, log: Ints,
) -> bool:  # fmt: skip
    """Tokens and blocks for the running requests, in order of admission. Was anybody preempted?"""
    z[BUDGET] = o.budget
    z[PREFILLS] = z[CONTINUED] = z[SERVED] = z[HELD] = z[PREFILL] = z[PAIRS] = 0
    preempting = False
    at = 0
    while at < z[BATCH] and z[BUDGET] > 0:
        c = v[RUN, at]
        known = r[c, PROMPT] + r[c, MADE]
        part = min(capped(z, known + r[c, DRAFTS] - r[c, DONE]), z[BUDGET])
        while more(r, o.block, x, c, part) > z[FREE]:
            w = victim(p, r, z, v, o)
            if r[w, GOT] > 0:
                count(r, z, w, r[w, GOT], -1)
                z[BUDGET] += r[w, GOT]
            r[w, TOP] = max(r[w, TOP], r[w, DONE] - r[w, GOT])
            r[w, GOT] = 0
            at -= leave(r, z, v, q, own, w, log, z[NOW]) < at
            r[w, EVICTED] += 1
            enqueue(r, z, v, low, high, w)
            preempting = True
            if w == c:
                return True
        if r[c, DONE] < r[c, UNTIL]:
            z[PREFILLS] = 1
        compute(p, r, z, ids, q, t, own, o.block, x, c, part, known)
        r[c, GOT] = part
        count(r, z, c, part, 1)
        z[CONTINUED] = 1
        z[BUDGET] -= part
        at += 1
    return preempting


@inner
def join(
    p: Ints, r: Ints, z: Ints, v: Ints, ranks: Ints, ids: Ints, q: Ints, t: Ints, low: Words, high: Words, o: Options,
    x: Extras,
) -> None:  # fmt: skip
    """Everybody who has arrived joins the queue; what others hold for a request is left out of its key."""
    while z[NEXT] < p.shape[0] and p[z[NEXT], A] <= z[TICK]:
        c = z[NEXT]
        blocks_shared = shared_blocks(p, ids, q, t, o.block, x, c)
        r[c, SEEN] = max(0, p[c, S] - 1 - min(blocks_shared * o.block, p[c, S] - 1))
        r[c, KEY_AT] = p[c, KEYS_AT] + blocks_shared
        r[c, RANK] = ranks[r[c, KEY_AT]]
        enqueue(r, z, v, low, high, c)
        r[c, JOINED] = z[NOW]
        z[NEXT] += 1
        z[BARREN] = 0


@inner
def weigh(z: Ints, f: Floats, costs: Costs) -> int:
    """How long the forward pass takes."""
    if z[SERVED] == 0:
        return 0
    z[PASSES] += 1
    took = duration(1, z[SERVED], z[HELD], costs) + prefilled(z[PREFILL], z[PAIRS], costs)
    f[KV_TICKS] += float(z[HELD]) * took
    return took


@inner
def note(z: Ints, gaps: Ints, gap: int, weight: int) -> None:
    """Gaps between tokens, into the log."""
    gaps[GAP, z[GAPS]] = gap
    gaps[INCREMENT, z[GAPS]] = 0
    gaps[STEPS, z[GAPS]] = 1
    gaps[WEIGHT, z[GAPS]] = weight
    z[GAPS] += 1


@inner
def sample(
    p: Ints, r: Ints, z: Ints, v: Ints, q: Ints, own: Ints, x: Extras, log: Ints, gaps: Ints, began: int
) -> int:  # fmt: skip
    """Tokens for those whose known ones are all computed; who got the last one leaves. How many left."""
    left, steady, at = 0, 0, 0
    while at < z[BATCH]:
        c = v[RUN, at]
        at += 1
        got = r[c, GOT]
        r[c, GOT] = 0
        if got > 0 and r[c, TOP] > r[c, DONE] - got:
            z[AGAIN] += min(r[c, DONE], r[c, TOP]) - (r[c, DONE] - got)
        drafts = r[c, DONE] - r[c, PROMPT] - r[c, MADE]
        if got == 0 or drafts < 0:
            continue
        accepted = 0
        if r[c, DRAFTS] > 0:
            while accepted < drafts and draft_accepted(c, r[c, MADE] + accepted, x.seed, x.accepts):
                accepted += 1
        r[c, DONE] -= drafts - accepted
        r[c, DRAFTS] = x.drafts
        r[c, MADE] = min(r[c, MADE] + 1 + accepted, r[c, OUTPUT])
        if r[c, FIRST] < 0:
            r[c, FIRST] = z[TICK]
        elif r[c, LAST] == began:
            steady += 1
        else:
            note(z, gaps, z[TICK] - r[c, LAST], 1)
        r[c, LAST] = z[TICK]
        if r[c, MADE] == r[c, OUTPUT]:
            r[c, FINISH] = z[TICK]
            leave(r, z, v, q, own, c, log, z[NOW] + 1)
            at -= 1
            left += 1
    if steady > 0:
        note(z, gaps, z[TICK] - began, steady)
    return left


@kernel
def serve_general(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, ranks: Ints, charge: Floats, ids: Ints, q: Ints, t: Ints, own: Ints,
    low: Words, high: Words, o: Options, x: Extras, costs: Costs, progress: Ints,
) -> tuple[Ints, Ints, Ints, bool]:  # fmt: skip
    """Run to the end; as `kernels.serving.serve`."""
    log = np.empty((4, p.shape[0] + 64), np.int64)
    stretches = np.empty((2, 64), np.int64)
    gaps = np.empty((4, 64), np.int64)
    rest = np.empty(o.block, np.int64)
    while z[NEXT] < p.shape[0] or z[WAITING] > 0 or z[BATCH] > 0:
        if z[WAITING] == 0 and z[BATCH] == 0:
            z[TICK] = max(z[TICK], p[z[NEXT], A])
        join(p, r, z, v, ranks, ids, q, t, low, high, o, x)
        for k in range(z[BATCH] if o.guesses else 0):
            c = v[RUN, k]
            while r[c, GUESS] <= r[c, MADE]:
                r[c, GUESS] = raised(r[c, GUESS], p[c, MOST])
        z[CAP] = o.long_prefill if z[BATCH] + z[WAITING] > 1 else 0
        z[LIMIT] = FAR
        if continue_running(p, r, z, v, ids, q, t, own, low, high, o, x, log):
            z[BARREN] += 1
            if z[BARREN] >= o.patience:
                break
        else:
            while z[BUDGET] > 0 and z[WAITING] > 0 and z[BATCH] < o.seqs:
                c, lane = next_start(p, r, z, f, v, charge, ids, q, t, own, low, high, rest, o, x)
                if c < 0:
                    break
                if z[STAYS] == log.shape[1]:
                    log = grown(log)
                admit(p, r, z, f, v, charge, ids, q, t, own, low, high, o, x, c, lane, log)
        if z[STRETCHES] == stretches.shape[1]:
            stretches = grown(stretches)
        began = z[TICK]
        stretches[0, z[STRETCHES]] = z[NOW]
        stretches[1, z[STRETCHES]] = began
        z[STRETCHES] += 1
        z[TICK] += weigh(z, f, costs)
        while z[GAPS] + z[BATCH] + 1 > gaps.shape[1]:
            gaps = grown(gaps)
        left = sample(p, r, z, v, q, own, x, log, gaps, began)
        z[NOW] += 1
        if left > 0:
            z[BARREN] = 0
        progress[0] += left
    for k in range(z[BATCH]):
        log[TO, r[v[RUN, k], STAY]] = z[NOW]
    return log, stretches, gaps, z[BARREN] < o.patience

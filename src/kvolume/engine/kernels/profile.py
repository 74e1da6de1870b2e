"""The profile of a running set: when may a request of s prompt and o output tokens start by look-ahead?

A running request with last round e and offset w = s - start + 1 holds w + x tokens in round x. Let
P(x) = sum of (w + x) over all with e >= x, the tokens held in round x. P rises between completions, so only last
rounds need a test: the candidate may start in round t iff, for every running e in [t, t + o - 1],
P(e) + s + 1 + e - t <= M (lifted for good at t = min(P(e) + s + 1 + e - M, e + 1)), and at its own last round
x = t + o - 1, P(x) + s + o <= M. One pass over e in ascending order finds the earliest such t.

Two forms of one structure. Flat: sorted arrays with suffix sums, O(R) and a tiny constant. Blocked: blocks of 64
with h = P(e) + e and a lazy affine tag, O(R/64 + 64): inserting (e', w') adds w' + e to h of every e < e', an
affine update (tag_w, tag_n) of a prefix; a block whose upper bound forbids nothing at t is skipped whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner

Ints = npt.NDArray[np.int64]

LOW = -(1 << 62)
FLAT_MOST = 192  # running requests up to which the flat form is faster

# ---------------------------------------------------------------------------------------------- flat
# e[lo:end] ascending; after[k] = sum of w over [k, end). The caller keeps lo and end.


@inner
def flat_earliest(e: Ints, after: Ints, lo: int, end: int, s: int, o: int, m: int, now: int) -> int:
    """First round >= now in which (s, o) may start; needs s + o <= m."""
    t = now
    k = lo
    while True:
        while k < end and e[k] <= t + o - 1:  # the window only grows to the right
            lifted = after[k] + (end - k + 1) * e[k] + s + 1 - m
            if lifted > t:
                t = min(lifted, e[k] + 1)
            k += 1
        x = t + o - 1
        h = k
        while h > lo and e[h - 1] >= x:  # the pass may have gone beyond completions that tie with x
            h -= 1
        if after[h] + (end - h) * x + s + o <= m:
            return t
        t = e[h] - o + 2  # until e[h] is behind its own last round, its own peak only gets worse


@inner
def flat_insert(e: Ints, after: Ints, lo: int, end: int, last: int, w: int) -> None:
    """Add a request; the caller's end grows by one."""
    p, q = lo, end
    while p < q:
        mid = (p + q) >> 1
        if e[mid] < last:
            p = mid + 1
        else:
            q = mid
    after[end + 1] = 0
    for j in range(end, p, -1):
        e[j] = e[j - 1]
        after[j] = after[j - 1]
    e[p] = last
    after[p] = after[p + 1] + w
    for j in range(lo, p):
        after[j] += w


@inner
def flat_compact(e: Ints, after: Ints, lo: int, end: int) -> int:
    """Move [lo, end) to the front; the new end (lo is then 0)."""
    for j in range(end - lo):
        e[j] = e[lo + j]
        after[j] = after[lo + j]
    after[end - lo] = 0
    return end - lo


# ---------------------------------------------------------------------------------------------- blocked
# A block is one row: 64 e, 64 w, 64 h, then the fields below. `line` lists rows in order from meta[FIRST] on.
BLOCK = 64
E, W, H = 0, BLOCK, 2 * BLOCK
LO, END, TAG_W, TAG_N, UB, SUM_W = range(3 * BLOCK, 3 * BLOCK + 6)
ROW = 3 * BLOCK + 8
FIRST, BLOCKS, FREE, FRESH, COUNT, TOTAL_W = range(6)


def room_for(running: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Memory for at most `running` requests at a time: blocks, line, free list, meta. Untouched pages cost nothing."""
    blocks = running // (BLOCK // 2) + 8  # a block that is not the first is never less than half full
    return (
        np.empty((blocks, ROW), np.int64), np.empty(2 * blocks + 64, np.int64), np.empty(blocks, np.int64),
        np.zeros(8, np.int64),
    )  # fmt: skip


@inner
def _take(mem: Ints, free: Ints, meta: Ints) -> int:
    """An empty block."""
    if meta[FREE] > 0:
        meta[FREE] -= 1
        b = free[meta[FREE]]
    else:
        b = meta[FRESH]
        meta[FRESH] += 1
    for field in (LO, END, TAG_W, TAG_N, SUM_W):
        mem[b, field] = 0
    mem[b, UB] = LOW
    return b


@inner
def _settle(mem: Ints, b: int) -> None:
    """Apply a block's tag and make its bound tight."""
    tag_w = mem[b, TAG_W]
    tag_n = mem[b, TAG_N]
    ub = LOW
    for i in range(mem[b, LO], mem[b, END]):
        h = mem[b, H + i] + tag_w + tag_n * mem[b, E + i]
        mem[b, H + i] = h
        ub = max(ub, h)
    mem[b, UB] = ub
    mem[b, TAG_W] = 0
    mem[b, TAG_N] = 0


@inner
def blocked_drop(mem: Ints, line: Ints, free: Ints, meta: Ints, now: int) -> None:
    """Forget what completed before round `now`."""
    while meta[BLOCKS] > 0:
        b = line[meta[FIRST]]
        lo = mem[b, LO]
        end = mem[b, END]
        while lo < end and mem[b, E + lo] < now:
            w = mem[b, W + lo]
            mem[b, SUM_W] -= w
            meta[TOTAL_W] -= w
            meta[COUNT] -= 1
            lo += 1
        mem[b, LO] = lo
        if lo < end:
            return
        free[meta[FREE]] = b
        meta[FREE] += 1
        meta[FIRST] += 1
        meta[BLOCKS] -= 1


@inner
def blocked_earliest(mem: Ints, line: Ints, meta: Ints, s: int, o: int, m: int, now: int) -> int:
    """First round >= now in which (s, o) may start; needs s + o <= m."""
    base = s + 1 - m
    first = meta[FIRST]
    blocks = meta[BLOCKS]
    t = now
    j = 0  # block and entry that the pass has reached
    k = mem[line[first], LO] if blocks > 0 else 0
    count = meta[COUNT]  # over blocks >= j
    total_w = meta[TOTAL_W]
    while True:
        while j < blocks:
            b = line[first + j]
            end = mem[b, END]
            e_max = mem[b, E + end - 1]
            if k == mem[b, LO]:
                if mem[b, E + k] > t + o - 1:
                    break
                harmless = mem[b, UB] + mem[b, TAG_W] + mem[b, TAG_N] * e_max + base <= t
                if not harmless:
                    _settle(mem, b)
                    harmless = mem[b, UB] + base <= t
                if harmless:
                    if e_max > t + o - 1:
                        break  # the window ends inside a block that forbids nothing
                    k = end
            while k < end and mem[b, E + k] <= t + o - 1:
                lifted = mem[b, H + k] + base
                if lifted > t:
                    t = min(lifted, mem[b, E + k] + 1)
                k += 1
            if k < end:
                break
            count -= end - mem[b, LO]
            total_w -= mem[b, SUM_W]
            j += 1
            if j < blocks:
                k = mem[line[first + j], LO]
        # tokens held in its own last round x: blocks after j whole, block j in part; ties may lie before it
        x = t + o - 1
        n = count
        sum_w = total_w
        next_e = 0  # first completion at or after x
        if j < blocks:
            b = line[first + j]
            i = mem[b, LO]
            end = mem[b, END]
            while i < end and mem[b, E + i] < x:
                n -= 1
                sum_w -= mem[b, W + i]
                i += 1
            if i < end:
                next_e = mem[b, E + i]
            elif j + 1 < blocks:
                b = line[first + j + 1]
                next_e = mem[b, E + mem[b, LO]]
            tie = mem[line[first + j], E + mem[line[first + j], LO]] >= x
        else:
            tie = True
        g = j
        while tie and g > 0:
            b = line[first + g - 1]
            lo = mem[b, LO]
            i = mem[b, END]
            while i > lo and mem[b, E + i - 1] >= x:
                i -= 1
                n += 1
                sum_w += mem[b, W + i]
                next_e = mem[b, E + i]
            tie = i == lo
            g -= 1
        if sum_w + n * x + s + o <= m:
            return t
        t = next_e - o + 2


@inner
def blocked_insert(mem: Ints, line: Ints, free: Ints, meta: Ints, last: int, w: int) -> None:
    """Add a request with its last round and offset."""
    first = meta[FIRST]
    blocks = meta[BLOCKS]
    j = blocks  # blocks j and later lie wholly at or after `last`
    n = 0
    sum_w = 0
    while j > 0 and mem[line[first + j - 1], E + mem[line[first + j - 1], LO]] >= last:
        j -= 1
        n += mem[line[first + j], END] - mem[line[first + j], LO]
        sum_w += mem[line[first + j], SUM_W]
    target = max(j - 1, 0)
    if blocks == 0:
        meta[FIRST] = first = 0
        meta[BLOCKS] = 1
        line[0] = _take(mem, free, meta)
    elif j == 0:
        n -= mem[line[first], END] - mem[line[first], LO]
        sum_w -= mem[line[first], SUM_W]
    b = line[first + target]
    _settle(mem, b)
    lo = mem[b, LO]
    end = mem[b, END]
    if lo > 0:
        for i in range(lo, end):
            for part in (E, W, H):
                mem[b, part + i - lo] = mem[b, part + i]
        end -= lo
        mem[b, LO] = 0
    p = end
    while p > 0 and mem[b, E + p - 1] >= last:  # from the back, moving what stays behind
        p -= 1
        n += 1
        sum_w += mem[b, W + p]
        for part in (E, W, H):
            mem[b, part + p + 1] = mem[b, part + p]
    ub = mem[b, UB]
    for i in range(p):
        h = mem[b, H + i] + w + mem[b, E + i]
        mem[b, H + i] = h
        ub = max(ub, h)
    h = sum_w + w + (n + 1) * last + last
    mem[b, E + p] = last
    mem[b, W + p] = w
    mem[b, H + p] = h
    mem[b, UB] = max(ub, h)
    mem[b, END] = end + 1
    mem[b, SUM_W] += w
    meta[COUNT] += 1
    meta[TOTAL_W] += w
    for i in range(target):
        earlier = line[first + i]
        mem[earlier, TAG_W] += w
        mem[earlier, TAG_N] += 1
    if end + 1 == BLOCK:
        _split(mem, line, free, meta, target)


@inner
def _split(mem: Ints, line: Ints, free: Ints, meta: Ints, target: int) -> None:
    """Move the upper half of a full block into a new one behind it."""
    if meta[FIRST] + meta[BLOCKS] + 1 >= line.size:
        for i in range(meta[BLOCKS]):
            line[i] = line[meta[FIRST] + i]
        meta[FIRST] = 0
    first = meta[FIRST]
    old = line[first + target]
    new = _take(mem, free, meta)
    half = BLOCK // 2
    for i in range(half):
        for part in (E, W, H):
            mem[new, part + i] = mem[old, part + half + i]
        mem[new, SUM_W] += mem[new, W + i]
    mem[new, END] = half
    mem[old, END] = half
    mem[old, SUM_W] -= mem[new, SUM_W]
    _settle(mem, old)
    _settle(mem, new)
    for i in range(meta[BLOCKS], target + 1, -1):
        line[first + i] = line[first + i - 1]
    line[first + target + 1] = new
    meta[BLOCKS] += 1

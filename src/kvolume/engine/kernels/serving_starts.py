"""Waiting requests in the general serving kernel: who starts now, and with how many tokens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import next_from
from kvolume.engine.kernels.jit import inner, rule
from kvolume.engine.kernels.paged import blocks
from kvolume.engine.kernels.serving_after import KEPT, REQUEST, SINCE
from kvolume.engine.kernels.serving_gate import BY_END, RUN, SPARE_SLOTS, admits
from kvolume.engine.kernels.serving_queue import LINE, OLDEST, dequeue
from kvolume.engine.kernels.serving_state import Options
from kvolume.engine.kernels.state import ADMITTED, GREEDY, THROUGH_LANE
from kvolume.geometry import attention_pairs as plain_attention_pairs
from kvolume.policy import rules

# isort: off
from kvolume.engine.kernels.serving_cache import (
    ASKED, BATCH, BUDGET, CACHED, CAP, CONTINUED, DONE, EVICTED, FREE, GOT, HEAD, HELD, HITS, IDLE, KEY_AT, LACKS,
    MADE, NAMINGS, NOW, PAIRS, PREFILL, PREFILLS, PROMPT, SERVED, SINCE_NAMINGS, SLOT, SLOTS, START, START_STEP, STAY,
    STAYS, TICK, TOKENS, UNTIL, WAITING, Extras, compute, look_up, take_hits,
)  # fmt: skip
# isort: on

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

takes_oldest = rule(rules.takes_oldest)
attention_pairs = rule(plain_attention_pairs)


@inner
def capped(z: Ints, left: int) -> int:
    """Tokens left to compute, capped for a long prefill."""
    return z[CAP] if 0 < z[CAP] < left else left


@inner
def count(r: Ints, z: Ints, c: int, part: int, sign: int) -> None:
    """What the forward pass computes, with what this request has got (or, sign -1, has lost again)."""
    z[SERVED] += sign
    z[HELD] += sign * r[c, DONE]
    z[TOKENS] += sign * part
    if r[c, DONE] - part < r[c, UNTIL]:
        z[PREFILL] += sign * part
        z[PAIRS] += sign * attention_pairs(r[c, DONE] - part, r[c, DONE])


@inner
def part_of(z: Ints, x: Extras, left: int, have: int) -> int:
    """Tokens left to compute at an admission, padded to a decode with drafts where vLLM does so."""
    decodes = left == 1 and z[PREFILLS] == 0 and (have > 0 or z[CONTINUED] > 0)
    return 1 + x.drafts if x.drafts > 0 and decodes else left


@inner
def fits(
    p: Ints, r: Ints, z: Ints, v: Ints, ids: Ints, q: Ints, t: Ints, own: Ints, rest: Ints, o: Options, x: Extras,
    c: int,
) -> bool:  # fmt: skip
    """Does vLLM have room for a waiting request, and does the policy admit it?"""
    known = r[c, PROMPT] + r[c, MADE]
    spare = o.spare if z[BATCH] > 0 else 0
    if z[ASKED] == c and z[LACKS] + spare - (z[NAMINGS] - z[SINCE_NAMINGS]) > z[FREE]:
        return False  # it needed so many blocks, and every change since can have made it one less
    look_up(p, z, ids, q, t, own, o.block, x, c, known)
    have = z[HITS] * o.block
    left = part_of(z, x, known - have, have)
    if left > known - have and left > z[BUDGET]:
        return False
    left = capped(z, left)
    if left > z[BUDGET] and not o.chunked:
        return False
    need = max(0, blocks(have + min(left, z[BUDGET]) + x.lookahead, o.block) - z[HITS]) + z[IDLE]
    if o.whole:
        whole = blocks(known, o.block) - z[HITS] + z[IDLE]
        z[ASKED] = c
        z[LACKS] = whole
        z[SINCE_NAMINGS] = z[NAMINGS]
        need = max(need, whole)
    if need + spare > z[FREE]:
        return False
    return z[BATCH] == 0 or o.admission == GREEDY or admits(r, z, v, rest, o, x, c)


@inner
def next_start(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, charge: Floats, ids: Ints, q: Ints, t: Ints, own: Ints, low: Words,
    high: Words, rest: Ints, o: Options, x: Extras,
) -> tuple[int, bool]:  # fmt: skip
    """Who starts now (-1: nobody), and whether through the arrival lane."""
    oldest = -1
    if o.share > 0.0:
        oldest = next_from(low, high, OLDEST, 0)
        if not takes_oldest(charge[r[oldest, KEY_AT]], f[THROUGH_LANE], f[ADMITTED], o.share):
            oldest = -1
    place = 0
    for tried in range(o.backfill + 1):
        lane = tried == 0 and oldest >= 0
        if lane:
            c = oldest
        else:
            if place < z[WAITING] and v[LINE, z[HEAD] + place] == oldest:
                place += 1
            if place >= z[WAITING]:
                break
            c = v[LINE, z[HEAD] + place]
            place += 1
        if fits(p, r, z, v, ids, q, t, own, rest, o, x, c):
            return c, lane
    return -1, False


@inner
def admit(
    p: Ints, r: Ints, z: Ints, f: Floats, v: Ints, charge: Floats, ids: Ints, q: Ints, t: Ints, own: Ints, low: Words,
    high: Words, o: Options, x: Extras, c: int, lane: bool, log: Ints,
) -> None:  # fmt: skip
    """Start a waiting request, with what it finds in the cache and as many tokens as it gets in this step."""
    dequeue(r, z, v, low, high, c)
    if r[c, EVICTED] == 0 and o.share > 0.0:
        f[ADMITTED] += charge[r[c, KEY_AT]]
        if lane:
            f[THROUGH_LANE] += charge[r[c, KEY_AT]]
    if z[WAITING] == 0:
        f[ADMITTED] = 0.0
        f[THROUGH_LANE] = 0.0
    v[RUN, z[BATCH]] = c
    v[BY_END, z[BATCH]] = c
    z[BATCH] += 1
    z[SLOTS] -= 1
    r[c, SLOT] = v[SPARE_SLOTS, z[SLOTS]]
    known = r[c, PROMPT] + r[c, MADE]
    take_hits(r, z, q, own, o.block, c)
    have = r[c, DONE]
    z[CACHED] += have
    part = min(capped(z, part_of(z, x, known - have, have)), z[BUDGET])
    compute(p, r, z, ids, q, t, own, o.block, x, c, part, known)
    r[c, UNTIL] = known
    r[c, GOT] = part
    count(r, z, c, part, 1)
    z[BUDGET] -= part
    if r[c, START] < 0:
        r[c, START] = z[TICK]
        r[c, START_STEP] = z[NOW]
    log[REQUEST, z[STAYS]] = c
    log[SINCE, z[STAYS]] = z[NOW]
    log[KEPT, z[STAYS]] = r[c, MADE]
    r[c, STAY] = z[STAYS]
    z[STAYS] += 1

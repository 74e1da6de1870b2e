"""The memory of the general serving kernel: blocks of each running request, and what is found in the cache.

The twin of `engine/serving_memory.py`. The state of a request is a row of r here: its fields lie side by side, since
this kernel walks through the running requests in every step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.block_pool import HOLDERS, NAMED, PREV, found, fresh_pool, link, name, take_block, unlink
from kvolume.engine.kernels.jit import inner, rule
from kvolume.engine.kernels.paged import blocks
from kvolume.policy import rules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

block_key = rule(rules.block_key)
MOST_SHARED = np.int64(rules.MOST_SHARED_BLOCKS)


class Extras(NamedTuple):
    """What the leaping kernel does without."""

    caching: bool
    drafts: int
    lookahead: int
    accepts: int
    seed: int
    tokens: int  # of a prefix block
    shares: bool  # may prompts begin alike?
    alpha: float  # of protected admission


# columns of p, the problem, a row for each request in order of arrival: arrival, prompt, output, cap on guesses, where
# its prefix ids begin, how many there are, where its keys begin (one for each number of shared blocks)
A, S, O, MOST, IDS_AT, IDS, KEYS_AT = range(7)

# columns of r, those of every step first: DONE: tokens computed, HOLDS: blocks, FULL: those that can be found; UNTIL:
# tokens known when it was admitted; GOT: tokens in this step; LAST: when its last token came; SLOT: its row of blocks;
# SEEN: prompt tokens as policies see them; RANK: of its key; TOP: most tokens ever computed
(DONE, MADE, DRAFTS, HOLDS, FULL, UNTIL, GOT, LAST, PROMPT, OUTPUT, FIRST, SLOT, GUESS, SEEN, RANK, KEY_AT,
 START, FINISH, JOINED, START_STEP, EVICTED, TOP, STAY) = range(23)  # fmt: skip

# entries of z; HITS: blocks found for the request asked about last, IDLE: those of them that nobody holds; NAMINGS:
# changes that can make a request find more; LACKS, SINCE_NAMINGS: of ASKED, the blocks that it needs
(NOW, TICK, NEXT, WAITING, BARREN, BATCH, FREE, BUDGET, CAP, STAYS, STRETCHES, GAPS, PASSES, TOKENS, AGAIN, CACHED,
 HITS, IDLE, NAMINGS, ASKED, LACKS, SINCE_NAMINGS, PREFILLS, CONTINUED, LIMIT, SLOTS,
 HEAD, SERVED, HELD, PREFILL, PAIRS) = range(31)  # fmt: skip


def fresh_memory(p: Ints, seqs: int, most: int, usable: int, guess: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """r, z, and the pool q, its table t, and the blocks of running requests, before the first step."""
    n = len(p)
    r = np.full((n, 24), -1, np.int64)
    for column in (EVICTED, MADE, TOP, GOT, DRAFTS):
        r[:, column] = 0
    r[:, PROMPT], r[:, OUTPUT], r[:, GUESS] = p[:, S], p[:, O], guess
    z = np.zeros(32, np.int64)
    z[FREE] = usable
    z[ASKED] = -1
    q, t = fresh_pool(usable)
    return r, z, q, t, np.zeros((min(n, seqs) + 1, most + 1), np.int64)  # the last row: what was found


@inner
def key_of(p: Ints, ids: Ints, o: int, x: Extras, c: int, block: int) -> int:
    """By what a block of the request can be found; o: tokens in a block."""
    chain = 0
    if x.shares and p[c, IDS] > 0:
        chain = ids[p[c, IDS_AT] + min(((block + 1) * o - 1) // x.tokens, p[c, IDS] - 1)]
    return block_key(block, o, c, p[c, S], chain, p[c, IDS], x.tokens)


@inner
def look_up(p: Ints, z: Ints, ids: Ints, q: Ints, t: Ints, own: Ints, o: int, x: Extras, c: int, known: int) -> None:
    """Find a waiting request in the cache: blocks into the last row of `own`, numbers into HITS and IDLE."""
    z[HITS] = z[IDLE] = 0
    if not x.caching:
        return
    for k in range((known - 1) // o):
        block = found(t, key_of(p, ids, o, x, c, k))
        if block == 0:
            break
        own[own.shape[0] - 1, k] = block
        z[HITS] += 1
        if q[block, HOLDERS] == 0:
            z[IDLE] += 1


@inner
def shared_blocks(p: Ints, ids: Ints, q: Ints, t: Ints, o: int, x: Extras, c: int) -> int:
    """Leading blocks of an arriving request's prompt that running requests hold."""
    count = 0
    if x.caching and x.shares:
        while count < min(p[c, S] // o, MOST_SHARED):
            block = found(t, key_of(p, ids, o, x, c, count))
            if block == 0 or q[block, HOLDERS] == 0:
                break
            count += 1
    return count


@inner
def take_hits(r: Ints, z: Ints, q: Ints, own: Ints, o: int, c: int) -> None:
    """A request that is admitted holds what was found for it."""
    slot = r[c, SLOT]
    for k in range(z[HITS]):
        block = own[own.shape[0] - 1, k]
        if q[block, HOLDERS] == 0:
            unlink(q, block)
            z[FREE] -= 1
            z[NAMINGS] += 1
        q[block, HOLDERS] += 1
        own[slot, k] = block
    r[c, HOLDS] = r[c, FULL] = z[HITS]
    r[c, DONE] = z[HITS] * o


@inner
def more(r: Ints, o: int, x: Extras, c: int, tokens: int) -> int:
    """Blocks that so many tokens more would take."""
    return max(0, blocks(r[c, DONE] + tokens + x.lookahead, o) - r[c, HOLDS])


@inner
def compute(
    p: Ints, r: Ints, z: Ints, ids: Ints, q: Ints, t: Ints, own: Ints, o: int, x: Extras, c: int, tokens: int,
    known: int,
) -> None:  # fmt: skip
    """It computes so many tokens more; what is full then, drafts apart, can be found from now on."""
    slot = r[c, SLOT]
    for _ in range(more(r, o, x, c, tokens)):
        block = q[0, 0]
        z[NAMINGS] += q[block, NAMED]
        own[slot, r[c, HOLDS]] = take_block(q, t)
        r[c, HOLDS] += 1
        z[FREE] -= 1
    r[c, DONE] += tokens
    if x.caching:
        while (r[c, FULL] + 1) * o <= min(r[c, DONE], known):
            k = r[c, FULL]
            name(q, t, own[slot, k], key_of(p, ids, o, x, c, k))
            r[c, FULL] += 1
            z[NAMINGS] += 1


@inner
def give_back(r: Ints, z: Ints, q: Ints, own: Ints, c: int) -> None:
    """A request that leaves gives its blocks back: full ones to the end of the queue, the last of them first."""
    slot = r[c, SLOT]
    front = 0
    for k in range(r[c, HOLDS] - 1, -1, -1):
        block = own[slot, k]
        q[block, HOLDERS] -= 1
        if q[block, HOLDERS] > 0:
            continue
        z[FREE] += 1
        if q[block, NAMED]:
            link(q, block, q[0, PREV])
        else:
            link(q, block, front)
            front = block

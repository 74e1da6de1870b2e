"""The policy's own admission and eviction in the general serving kernel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner, rule
from kvolume.engine.kernels.paged import blocks, earliest_in_blocks
from kvolume.engine.kernels.serving_state import LARGEST, LATEST, PROTECTED, Options, twice_volume
from kvolume.engine.kernels.state import FAR, LOOK_AHEAD, E, W
from kvolume.policy import rules

# isort: off
from kvolume.engine.kernels.serving_cache import (
    BATCH, FREE, GUESS, LIMIT, MADE, NOW, RANK, SEEN, A, Extras,
)  # fmt: skip
# isort: on

Ints = npt.NDArray[np.int64]

protected_limit = rule(rules.protected_limit)

# rows of v: running requests in order of admission, the queue, the look-ahead profile (E and W), running requests by
# expected end, rows of blocks that are not in use
RUN, LINE, _E, _W, BY_END, SPARE_SLOTS = range(6)


@inner
def budget(r: Ints, z: Ints, v: Ints, o: Options) -> int:
    """KV tokens that the policy reckons with in this step: less what is held beyond what it knows of."""
    if z[LIMIT] == FAR:
        known = 0
        for k in range(z[BATCH]):
            c = v[RUN, k]
            known += r[c, SEEN] + r[c, MADE] + o.block
        z[LIMIT] = o.m - max(0, o.m - z[FREE] * o.block - known)
    return z[LIMIT]


@inner
def admits(r: Ints, z: Ints, v: Ints, rest: Ints, o: Options, x: Extras, c: int) -> bool:
    """Does the policy admit this request beside those that run?"""
    m = budget(r, z, v, o)
    kept = r[c, SEEN] + r[c, MADE]
    if o.admission == LOOK_AHEAD:
        profile(r, z, v)
        left = r[c, GUESS] - r[c, MADE]
        return earliest_in_blocks(v, z[BATCH], rest, o.block, kept, left, m // o.block * o.block, z[NOW]) <= z[NOW]
    held = 0
    for k in range(z[BATCH]):
        other = v[RUN, k]
        if o.admission == PROTECTED:
            held += blocks(r[other, SEEN] + r[other, MADE] + 1, o.block) * o.block
        else:
            held += r[other, SEEN] + r[other, GUESS]
    if o.admission == PROTECTED:
        return held + kept + 1 <= protected_limit(x.alpha, m)
    return held + r[c, SEEN] + r[c, GUESS] <= m


@inner
def profile(r: Ints, z: Ints, v: Ints) -> None:
    """The look-ahead profile: running requests by expected end. They hardly move from one step to the next."""
    for k in range(z[BATCH]):
        c = v[BY_END, k]
        end = z[NOW] + r[c, GUESS] - r[c, MADE] - 1
        at = k
        while at > 0 and v[E, at - 1] > end:
            v[E, at] = v[E, at - 1]
            v[W, at] = v[W, at - 1]
            v[BY_END, at] = v[BY_END, at - 1]
            at -= 1
        v[E, at] = end
        v[W, at] = r[c, SEEN] + r[c, MADE] + 1 - z[NOW]
        v[BY_END, at] = c


@inner
def victim(p: Ints, r: Ints, z: Ints, v: Ints, o: Options) -> int:
    """Who is preempted next."""
    if o.eviction == LATEST:
        return v[RUN, z[BATCH] - 1]
    best = v[RUN, 0]
    for k in range(1, z[BATCH]):
        c = v[RUN, k]
        if o.eviction == LARGEST:
            if volume_left(r, c) >= volume_left(r, best):
                best = c
        elif r[c, RANK] > r[best, RANK] or (r[c, RANK] == r[best, RANK] and p[c, A] > p[best, A]):
            best = c
    return best


@inner
def volume_left(r: Ints, c: int) -> int:
    """Twice the volume that it is still expected to take."""
    return twice_volume(r[c, SEEN] + r[c, MADE], r[c, GUESS] - r[c, MADE])

"""Any three-answer policy under any clock, leaping from event to event: the fast twin of `rounds`.

Events are completions, outgrown predictions, arrivals, rounds out of memory, and the earliest start of a request
blocked by look-ahead. Between two events the batch is constant, so k rounds of B requests that hold K tokens at
first last k (base + request B) + kv_token (k K + B k(k-1)/2) ticks: closed form, in integers. A round that carries
prefills runs on its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import add, discard, next_from
from kvolume.engine.kernels.jit import kernel, rule
from kvolume.geometry import twice_volume as plain_twice_volume
from kvolume.policy import rules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

takes_oldest = rule(rules.takes_oldest)
raised = rule(rules.raised)
next_random = rule(rules.next_random)
twice_volume = rule(plain_twice_volume)

LOOK_AHEAD, GREEDY, PEAK = range(3)  # Protected is Greedy with a lower limit
LATEST, LARGEST, ALL, RANDOM = range(4)
FAR = np.int64(1) << 60


@kernel
def duration(k: int, b: int, held: int, base: int, request: int, kv_token: int) -> int:
    """Ticks of k rounds of an unchanged batch of b requests that holds `held` tokens in the first of them."""
    return k * (base + request * b) + kv_token * (k * held + b * (k * (k - 1) // 2))


@kernel
def rounds_until(gap: int, b: int, held: int, base: int, request: int, kv_token: int) -> int:
    """Fewest rounds k >= 1 that last at least `gap` ticks: the root of a quadratic, put right in integers."""
    square = 0.5 * kv_token * b
    linear = base + request * b + kv_token * (held - 0.5 * b)
    if square == 0.0:
        k = np.int64(gap / linear)
    else:
        k = np.int64((np.sqrt(linear * linear + 4.0 * square * gap) - linear) / (2.0 * square))
    k = max(k, 1)
    while k > 1 and duration(k - 1, b, held, base, request, kv_token) >= gap:
        k -= 1
    while duration(k, b, held, base, request, kv_token) < gap:
        k += 1
    return k


@kernel
def earliest(e: Ints, w: Ints, size: int, s: int, o: int, m: int, now: int) -> int:
    """First round >= now in which (s, o) may start beside requests with last rounds e (ascending) and offsets w.

    The pass of profile.flat_earliest, but over predictions: what runs may overrun m by itself, and then nobody
    starts before the last such round is past. FAR cannot come out, since s + o <= m.
    """
    t = now
    k = 0
    left = np.int64(0)
    for i in range(size - 1, -1, -1):
        left += w[i]
        if left + (size - i) * e[i] > m and (i == 0 or e[i - 1] < e[i]):
            t = max(t, e[i] + 1)
    while True:
        while k < size and e[k] <= t + o - 1:
            lifted = left + (size - k + 1) * e[k] + s + 1 - m
            if lifted > t:
                t = min(lifted, e[k] + 1)
            left -= w[k]
            k += 1
        x = t + o - 1
        h = k
        tail = left
        while h > 0 and e[h - 1] >= x:
            h -= 1
            tail += w[h]
        if tail + (size - h) * x + s + o <= m:
            return t
        if h == size:
            return FAR
        t = e[h] - o + 2


@kernel
def put(e: Ints, w: Ints, size: int, last: int, offset: int) -> None:
    """Insert into a sorted profile of `size`; the caller's size grows by one."""
    p = size
    while p > 0 and e[p - 1] > last:
        e[p] = e[p - 1]
        w[p] = w[p - 1]
        p -= 1
    e[p] = last
    w[p] = offset


@kernel
def take(e: Ints, w: Ints, size: int, last: int, offset: int) -> None:
    """Remove one entry (last, offset); the caller's size falls by one."""
    p = 0
    while e[p] != last or w[p] != offset:
        p += 1
    for i in range(p, size - 1):
        e[i] = e[i + 1]
        w[i] = w[i + 1]


@kernel
def grown(x: Ints) -> Ints:
    """The same values in an array twice as long."""
    bigger = np.empty(2 * x.size, np.int64)
    bigger[: x.size] = x
    return bigger


@kernel
def choose_victim(
    how: int, run: Ints, size: int, now: int, s: Ints, guess: Ints, made: Ints, begin: Ints
) -> int:
    """Position in `run` (order of admission) of the next to leave."""
    if how == LATEST:
        return size - 1
    best = -1
    largest = np.int64(-1)
    for p in range(size):
        c = run[p]
        generated = made[c] + now - begin[c]
        v = twice_volume(s[c] + generated, guess[c] - generated)
        if v >= largest:
            largest = v
            best = p
    return best


@kernel
def general(
    a: Ints, s: Ints, o: Ints, rank: Ints, by: Ints, first_guess: Ints, most: Ints, charge: Floats,
    m: int, admission: int, limit: int, eviction: int, keep: bool, beta: float, patience: int,
    backfill: int, share: float, random: int,
    unit: bool, base: int, request: int, kv_token: int, prefill_token: int,
    low: Words, high: Words, olow: Words, ohigh: Words, progress: Ints,
) -> tuple[Any, ...]:  # fmt: skip
    """Start, first-token and finish ticks; evictions; queued; episodes; segments; KV integral; finished?

    `rank` is each request's place in the policy's order, `by` its inverse. `low, high` and `olow, ohigh` are empty
    bitsets for the queue in the policy's order and in arrival order.
    """
    n = a.size
    start = np.full(n, -1, np.int64)
    first = np.full(n, -1, np.int64)
    finish = np.full(n, -1, np.int64)
    joined = np.full(n, -1, np.int64)
    start_round = np.full(n, -1, np.int64)
    evicted = np.zeros(n, np.int64)
    guess = first_guess.copy()
    made = np.zeros(n, np.int64)  # output tokens made before the present stay
    begin = np.zeros(n, np.int64)  # first round of the present stay
    stay = np.zeros(n, np.int64)  # its episode
    run = np.empty(64, np.int64)  # in order of admission
    e = np.empty(64, np.int64)  # profile of the running requests, as predicted
    w = np.empty(64, np.int64)
    size = 0
    need_w = np.int64(0)  # round t needs need_w + size * t tokens
    reserved = np.int64(0)  # sum of predicted peaks
    ep_request = np.empty(n + 64, np.int64)
    ep_begin = np.empty(n + 64, np.int64)
    ep_end = np.empty(n + 64, np.int64)
    ep_kept = np.empty(n + 64, np.int64)
    eps = 0
    seg_round = np.empty(64, np.int64)
    seg_tick = np.empty(64, np.int64)
    segs = 0
    kv_ticks = 0.0
    admitted = 0.0
    through_lane = 0.0
    waiting = 0
    now = np.int64(0)  # next round
    tick = np.int64(0)  # when it begins
    nx = 0
    barren = 0
    done = 0
    ok = True
    while True:
        # completions, and predictions outgrown
        p = 0
        for j in range(size):
            c = run[j]
            generated = made[c] + now - begin[c]
            if generated == o[c]:
                finish[c] = tick
                ep_end[stay[c]] = now
                if admission == LOOK_AHEAD:
                    take(e, w, size - (j - p), begin[c] + guess[c] - made[c] - 1, s[c] + made[c] + 1 - begin[c])
                need_w -= s[c] + made[c] + 1 - begin[c]
                reserved -= s[c] + guess[c]
                barren = 0
                done += 1
                continue
            if guess[c] <= generated:
                old = guess[c]
                while guess[c] <= generated:
                    guess[c] = raised(guess[c], most[c])
                reserved += guess[c] - old
                if admission == LOOK_AHEAD:
                    offset = s[c] + made[c] + 1 - begin[c]
                    take(e, w, size - (j - p), begin[c] + old - made[c] - 1, offset)
                    put(e, w, size - (j - p) - 1, begin[c] + guess[c] - made[c] - 1, offset)
            run[p] = c
            p += 1
        size = p
        progress[0] = done
        # arrivals
        while nx < n and a[nx] <= tick:
            add(low, high, rank[nx])
            add(olow, ohigh, nx)
            joined[nx] = now
            waiting += 1
            nx += 1
            barren = 0
        # evictions
        evicting = need_w + size * now > m
        if evicting:
            barren += 1
            position = -1
            while need_w + size * now > m or (eviction == ALL and size > 0):
                if eviction == RANDOM:
                    position = position + 1 if position + 1 < size else 0
                    random = next_random(random)
                    if not random / 2147483647 < beta:
                        continue
                elif eviction == ALL:
                    position = 0
                else:
                    position = choose_victim(eviction, run, size, now, s, guess, made, begin)
                c = run[position]
                offset = s[c] + made[c] + 1 - begin[c]
                if admission == LOOK_AHEAD:
                    take(e, w, size, begin[c] + guess[c] - made[c] - 1, offset)
                need_w -= offset
                reserved -= s[c] + guess[c]
                ep_end[stay[c]] = now
                made[c] = made[c] + now - begin[c] if keep else 0
                evicted[c] += 1
                for j in range(position, size - 1):
                    run[j] = run[j + 1]
                size -= 1
                if eviction == RANDOM:
                    position -= 1
                add(low, high, rank[c])
                add(olow, ohigh, c)
                waiting += 1
            if barren >= patience:
                ok = False
                break
        # admissions
        prefill = np.int64(0)
        prefilling = 0
        wake = FAR  # earliest start of those passed over
        while not evicting and waiting > 0:
            chosen = -1
            lane = False
            head = -1
            if share > 0.0:
                head = next_from(olow, ohigh, 0)
                lane = takes_oldest(charge[head], through_lane, admitted, share)
            wake = FAR
            place = -1 if lane else next_from(low, high, 0)
            for _ in range(backfill + 1):
                if lane and place < 0:
                    c = head
                else:
                    if place < 0:
                        break
                    c = by[place]
                held = s[c] + made[c] + 1
                if admission == LOOK_AHEAD:
                    t = earliest(e, w, size, s[c] + made[c], guess[c] - made[c], m, now)
                    wake = min(wake, t)
                    fits = t <= now
                elif admission == GREEDY:
                    fits = need_w + size * now + held <= limit
                else:
                    fits = reserved + s[c] + guess[c] <= m
                if fits:
                    chosen = c
                    break
                place = next_from(low, high, place + 1)
                while lane and place >= 0 and by[place] == head:
                    place = next_from(low, high, place + 1)
            if chosen < 0:
                break
            c = chosen
            discard(low, high, rank[c])
            discard(olow, ohigh, c)
            waiting -= 1
            if evicted[c] == 0 and share > 0.0:
                admitted += charge[c]
                if lane and c == head:
                    through_lane += charge[c]
            if waiting == 0:
                admitted = 0.0
                through_lane = 0.0
            if size == run.size:
                run, e, w = grown(run), grown(e), grown(w)
            begin[c] = now
            run[size] = c
            offset = s[c] + made[c] + 1 - now
            if admission == LOOK_AHEAD:
                put(e, w, size, now + guess[c] - made[c] - 1, offset)
            size += 1
            need_w += offset
            reserved += s[c] + guess[c]
            prefill += s[c] + made[c]
            prefilling += 1
            if start[c] < 0:
                start[c] = tick
                start_round[c] = now
            if eps == ep_request.size:
                ep_request, ep_begin, ep_end, ep_kept = grown(ep_request), grown(ep_begin), grown(ep_end), grown(ep_kept)
            ep_request[eps] = c
            ep_begin[eps] = now
            ep_kept[eps] = made[c]
            stay[c] = eps
            eps += 1
        # nothing runs: wait for somebody, or give up
        if size == 0 and not evicting:
            if nx == n:
                ok = waiting == 0
                break
            if a[nx] > tick:
                tick = a[nx]
                if unit:
                    now = tick
            continue
        # leap to the next event
        held = need_w + size * now
        k = np.int64(1)
        if prefilling == 0 and size > 0 and not evicting:  # admissions resume after a round that evicts
            k = (m - held) // size + 1
            for j in range(size):
                c = run[j]
                k = min(k, min(o[c], guess[c]) - made[c] - (now - begin[c]))
            if wake < FAR:
                k = min(k, wake - now)
            if nx < n:
                gap = a[nx] - tick
                if duration(k, size, held, base, request, kv_token) > gap:
                    k = min(k, rounds_until(gap, size, held, base, request, kv_token))
        took = duration(k, size, held, base, request, kv_token) + prefill_token * prefill
        if not unit:
            if segs == seg_round.size:
                seg_round, seg_tick = grown(seg_round), grown(seg_tick)
            seg_round[segs] = now
            seg_tick[segs] = tick
            segs += 1
        if kv_token == 0 and prefilling == 0:
            kv_ticks += float(k * held + size * (k * (k - 1) // 2)) * (base + request * size)
        elif k == 1:
            kv_ticks += float(held) * took
        else:
            fixed = float(base + request * size)
            h, b, q = float(held), float(size), float(k)
            tokens = q * h + b * (q * (q - 1) / 2)
            squares = q * h * h + h * b * q * (q - 1) + b * b * (q - 1) * q * (2 * q - 1) / 6
            kv_ticks += fixed * tokens + kv_token * squares
        tick += took
        now += k
        if prefilling > 0:
            for j in range(size - prefilling, size):
                if first[run[j]] < 0:
                    first[run[j]] = tick
    for j in range(size):
        ep_end[stay[run[j]]] = now
    queued = start_round > joined
    return (
        start, first, finish, evicted, queued, ep_request[:eps], ep_begin[:eps], ep_end[:eps], ep_kept[:eps],
        seg_round[:segs], seg_tick[:segs], kv_ticks, ok,
    )  # fmt: skip

r"""The mean-busy-time bound: for every policy, any arrivals, any size, in O(n log n).

Relax the machine to one that does work at speed 1, where request i needs z_i of it (unit step: v_i / M). In an
iteration of length d the work done is at most d, because the batch never holds more than M (Clock.work). On the
relaxed machine, preemptive and smallest z first (a static key) minimises the sum of mean busy times m_i (Goemans'
mean-busy-time argument). In a real schedule the work of i is centred at least D_i before its completion: from the
middle of each iteration on, the iterations still to come last at least what i costs alone. So

    OPT >= sum_i (m_i + D_i - a_i),      D_i = (1/z_i) sum_u e_i(u) (d_i(u)/2 + sum_{u' > u} d_i(u')),

with e_i(u) the work and d_i(u) = base + request + kv_token kv_u + prefill_u the least length of the
iteration that makes token u. Kept tokens and kills only add work. And OPT >= sum of every request alone. (ours)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.clock import Clock, Shares
from kvolume.geometry import Holding, volume

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SAFETY = 1 - 1e-12  # the sums are rounded: keep the bound a bound
TINY = 1e-12  # ticks of work for a request that takes none (no prompt, one token, engine accounting)


def total_latency_bound(
    arrival: Ints, s: Ints, o: Ints, kv_tokens: int, clock: Clock, holding: Holding = "unit",
    shares: Shares | None = None,
) -> float:  # fmt: skip
    """Lower bound on the sum of latencies, in ticks. `arrival` (ticks) ascending; by default KV alone is capped."""
    from kvolume.bound.kernels import mean_busy_times

    shares = shares or Shares(1 / kv_tokens)
    work = np.maximum(clock.work(s, o, shares, holding), TINY)
    order = np.argsort(work, kind="stable")
    busy = mean_busy_times(arrival, work, order)
    lag = centroid_lag(s, o, kv_tokens, clock, holding, shares)
    alone = float(alone_ticks(s, o, clock, holding).sum())
    return max(float(busy) + float(lag.sum()) - float(arrival.sum(dtype=np.float64)), alone) * SAFETY


def alone_ticks(s: Any, o: Any, clock: Clock, holding: Holding = "unit") -> Any:
    """Least time from start to completion: every iteration at what the request costs by itself."""
    return (clock.base + clock.request) * (o * 1.0) + clock.kv_token * volume(s, o, holding) + clock.prefill(s)


def centroid_lag(
    s: Ints, o: Ints, kv_tokens: int, clock: Clock, holding: Holding = "unit", shares: Shares | None = None
) -> Floats:
    """D_i in ticks, in closed form: work is A + B u, iterations last p + q u, plus the prefill in the first."""
    shares = shares or Shares(1 / kv_tokens)
    first = s * 1.0 - (1 if holding == "engine" else 0)  # tokens held in iteration u: first + u
    n = o * 1.0
    slope = clock.kv_token + clock.base * shares.kv_token
    a = clock.request + clock.base * (shares.sequence + shares.token) + slope * first  # work in iteration u: a + b u
    b = slope
    p, q = clock.base + clock.request + clock.kv_token * first, clock.kv_token * 1.0  # length of iteration u
    prefill, extra = clock.prefill(s), clock.prefill_work(s, shares)
    one, two, three = n * (n + 1) / 2, n * (n + 1) * (2 * n + 1) / 6, (n * (n + 1) / 2) ** 2  # sums of u, u^2, u^3
    # from the middle of iteration u to the end: p (n - u + 1/2) + q (n (n + 1)/2 - u^2 / 2)
    c0, c1, c2 = p * (n + 0.5) + q * one, -p, -q / 2
    moment = a * (c0 * n + c1 * one + c2 * two) + b * (c0 * one + c1 * two + c2 * three)
    # the prefill lengthens iteration 1 by `prefill`: its own work there, and half a prefill for the rest of u = 1
    after_first = c0 + c1 + c2
    moment = moment + (a + b) * prefill / 2 + extra * (after_first + prefill / 2)
    work = a * n + b * one + extra
    alone = np.asarray(alone_ticks(s, o, clock, holding))  # who takes no work is at least delayed by itself
    return np.where(work > 0, moment / np.where(work > 0, work, 1.0), alone)

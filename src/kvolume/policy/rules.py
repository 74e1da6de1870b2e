"""Rules on plain numbers, written once: the reference engine calls them, the kernels compile these very functions."""

from __future__ import annotations

RANDOM_MODULUS = 2_147_483_647
PATIENCE = 100_000  # preempting steps in a row, with no completion and no arrival, before a run counts as a livelock
MOST_SHARED_BLOCKS = 128  # of a prompt that are looked up for its key: the cost per request stays bounded


def takes_oldest(oldest_volume: float, lane_volume: float, admitted_volume: float, share: float) -> bool:
    """Does the arrival lane, entitled to `share` of all admitted volume, take the oldest waiting request next?

    Charged before the admission, so that the lane never exceeds its share: A + v <= share * (V + v).
    """
    return lane_volume + oldest_volume <= share * (admitted_volume + oldest_volume)


def raised(guess: int, most: int) -> int:
    """The next guess for an output that has outgrown `guess`: double it, up to `most` tokens."""
    return max(guess + 1, min(2 * guess, most))


def protected_limit(alpha: float, kv_tokens: int) -> int:
    """KV tokens up to which protected admission lets requests in."""
    return int((1 - alpha) * kv_tokens + 1e-9)


def next_random(state: int) -> int:
    """The next state, in 1 .. 2^31 - 2, of the minimal standard generator (Park and Miller)."""
    return state * 48271 % RANDOM_MODULUS


def first_random(seed: int) -> int:
    """A valid state of the generator for any seed."""
    return seed % (RANDOM_MODULUS - 1) + 1


def draft_accepted(request: int, position: int, seed: int, modulus_share: int) -> bool:
    """Is the draft for this output position of this request accepted? With probability modulus_share / 2^31.

    A fixed draw for each position, so that it does not depend on the schedule: squarings modulo 2^31 - 1.
    """
    x = (seed * 7_919 + request * 1_000_003 + position * 48_611) % 2_147_483_647
    for _ in range(4):
        x = (x * x + 12_345) % 2_147_483_647
    return x < modulus_share


def block_key(block: int, size: int, request: int, prompt: int, chain: int, ids: int, tokens: int) -> int:
    """What a full block's content is known by: not negative if prompts with the same beginning have it too.

    `chain`: the id (with all before it) of the prefix block of `tokens` tokens that holds the block's last token, of
    which the request has `ids`. A block that reaches into what only this request has is its own.
    """
    last = (block + 1) * size - 1
    if last < prompt and last // tokens < ids:
        return chain * tokens + last % tokens
    return -1 - (request << 32) - block


def staggered_slots(s: int, tau: int, m: int) -> int:
    """Jobs of prompt s that may run tau rounds each, job j from round floor(j tau/k) on, within m tokens: k (SPS).

    The largest k with  k s + (k tau + k + tau - gcd(k, tau))/2 <= m, which is the exact peak of that timetable
    (derived; it gives every constant of arXiv 2601.22996). 1 at least: s + tau <= m. The peak rises with k, and the
    gcd is in 1..tau, so only two k are in question.
    """
    most = 2 * m // (2 * s + tau + 1)
    a, b = most, tau
    while b > 0:
        a, b = b, a % b
    return most if 2 * most * s + most * tau + most + tau - a <= 2 * m else most - 1

"""Rules on plain numbers, written once: the reference engine calls them, the kernels compile these very functions."""

from __future__ import annotations

RANDOM_MODULUS = 2_147_483_647
PATIENCE = 100_000  # preempting steps in a row, with no completion and no arrival, before a run counts as a livelock


def takes_oldest(oldest_volume: float, lane_volume: float, admitted_volume: float, share: float) -> bool:
    """Does the arrival lane, entitled to `share` of all admitted volume, take the oldest waiting request next?

    Charged before the admission, so that the lane never exceeds its share: A + v <= share * (V + v).
    """
    return lane_volume + oldest_volume <= share * (admitted_volume + oldest_volume)


def raised(guess: int, most: int) -> int:
    """The next guess for an output that has outgrown `guess`: double it, up to `most` tokens."""
    return max(guess + 1, min(2 * guess, most))


def next_random(state: int) -> int:
    """The next state, in 1 .. 2^31 - 2, of the minimal standard generator (Park and Miller)."""
    return state * 48271 % RANDOM_MODULUS


def first_random(seed: int) -> int:
    """A valid state of the generator for any seed."""
    return seed % (RANDOM_MODULUS - 1) + 1

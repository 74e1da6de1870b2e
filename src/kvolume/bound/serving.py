"""The mean-busy-time bound for the serving engine: KV tokens, sequences and tokens of a step are all capped.

A request holds s + u - 1 tokens in the step that makes token u, and uses s tokens of that step's budget (u = 1) or
one. For any weights that sum to 1 the bound of `busy_time` holds with the base shared out over the three caps; the
best weights found are taken. Chunks: a prefill spread over several steps does its work no later and adds at least
as much time before the completion as in one step, so the bound holds for chunked prefill too (docs/bounds.md); so
it does for preemptions, which only add work. (ours; more than one resource)

Prefix caching: blocks that others may have computed count for nobody, so a request is taken to have the rest of its
prompt only. Drafts: a prefill makes one token and each later step at most 1 + k, so a request is taken to make
1 + ceil((o - 1) / (1 + k)) tokens. It computes and holds at least as much in truth, in no fewer steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kvolume.bound.busy_time import total_latency_bound
from kvolume.clock import Clock
from kvolume.engine.serving_config import ServingConfig
from kvolume.workload import Workload

Ints = npt.NDArray[np.int64]
Weights = tuple[float, float, float]
MIXES = (0.25, 0.5, 0.75)


def serving_bound(arrival: Ints, s: Ints, o: Ints, kv_tokens: int, clock: Clock, config: ServingConfig) -> float:
    """Lower bound on the sum of latencies of every schedule of the serving engine, in ticks. `arrival` ascending.

    `s` and `o` as `least_lengths` gives them.
    """

    def bound(weights: Weights) -> float:
        shares = config.caps(kv_tokens).shares(*weights)
        return total_latency_bound(arrival, s, o, kv_tokens, clock, "engine", shares)

    corners: list[Weights] = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    best, corner = max((bound(w), w) for w in corners)
    return max([best, *map(bound, _towards(corner, corners))])


def least_lengths(workload: Workload, config: ServingConfig) -> tuple[Ints, Ints]:
    """Prompt tokens that each request computes and holds by itself at least, and steps in which it makes tokens."""
    s, steps = workload.prompt_tokens, 1 + -(-(workload.output_tokens - 1) // (1 + config.num_speculative_tokens))
    if config.enable_prefix_caching and workload.prefix is not None:
        common = replace(workload.prefix, ids=workload.prefix.chained()).common()
        found = np.minimum(common, s - 1) // config.block_size * config.block_size
        s = s - np.maximum(found, 0)
    return s, steps


def _towards(corner: Weights, corners: list[Weights]) -> Iterator[Weights]:
    """Mixes of one corner with each of the others."""
    for other in corners:
        if other != corner:
            for t in MIXES:
                yield tuple((1 - t) * x + t * y for x, y in zip(corner, other, strict=True))  # type: ignore[misc]

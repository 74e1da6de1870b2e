"""Random small instances for the serving engine: any options, memory from just enough to ample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kvolume import Workload
from kvolume.clock import Clock
from kvolume.engine.serving_config import ServingConfig

CLOCK = Clock("test", base=1000, request=7, kv_token=1, prefill_token=13, prefill_pair=1700, tick_ns=1)


class Case(NamedTuple):
    """What a failing property prints."""

    workload: Workload
    kv_tokens: int
    config: ServingConfig


def case(seed: int, *, most: int = 23) -> Case:
    """The instance of this seed. Predicted lengths run from 1 to 5, so that many keys tie."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, most + 1))
    block = int(rng.choice([1, 2, 4, 16]))
    s, o = rng.integers(1, int(rng.choice([6, 40, 120])), n), rng.integers(1, int(rng.choice([4, 30, 80])), n)
    least = -(-int((s + o - 1).max()) // block)
    usable = int(least * rng.choice([1, 1.3, 2, 4, 20])) + int(rng.integers(0, 3))
    chunked = bool(rng.random() < 0.75)
    budget = int(rng.choice([4, 16, 64, 256])) if chunked else 256
    config = ServingConfig(
        block_size=block,
        max_num_batched_tokens=budget,
        max_num_seqs=int(rng.integers(1, min(budget, 24) + 1)),
        enable_chunked_prefill=chunked,
        long_prefill_token_threshold=int(rng.choice([0, 0, 1, 5, 30])),
        scheduler_reserve_full_isl=bool(rng.random() < 0.6),
        watermark=float(rng.choice([0, 0, 0.01, 0.1, 0.3])),
    )
    spread = int(rng.choice([0, 3_000, 60_000]))
    arrival = np.sort(rng.integers(0, spread + 1, n))
    return Case(Workload(None, s, o, arrival_s=arrival * 1e-9, predicted=rng.integers(1, 6, n)), usable * block, config)


def exact(workload: Workload) -> Workload:
    """The same with exact predictions."""
    return Workload(None, workload.prompt_tokens, workload.output_tokens, arrival_s=workload.arrival_s)


def wrong(workload: Workload, seed: int) -> Workload:
    """The same with predictions that have nothing to do with the lengths."""
    rng = np.random.default_rng(seed)
    predicted = rng.integers(1, 100, len(workload))
    return Workload(None, workload.prompt_tokens, workload.output_tokens, arrival_s=workload.arrival_s,
                    predicted=predicted)  # fmt: skip

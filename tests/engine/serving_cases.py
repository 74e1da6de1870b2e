"""Random small instances for the serving engine: any options, memory from just enough to ample."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kvolume import Workload
from kvolume.clock import Clock
from kvolume.engine.serving_config import ServingConfig
from kvolume.workload import PrefixBlocks

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
        enable_prefix_caching=False,
    )
    spread = int(rng.choice([0, 3_000, 60_000]))
    arrival = np.sort(rng.integers(0, spread + 1, n))
    return Case(Workload(None, s, o, arrival_s=arrival * 1e-9, predicted=rng.integers(1, 6, n)), usable * block, config)


def exact(workload: Workload) -> Workload:
    """The same with exact predictions."""
    return Workload(None, workload.prompt_tokens, workload.output_tokens, arrival_s=workload.arrival_s,
                    prefix=workload.prefix)  # fmt: skip


def wrong(workload: Workload, seed: int) -> Workload:
    """The same with predictions that have nothing to do with the lengths."""
    rng = np.random.default_rng(seed)
    predicted = rng.integers(1, 100, len(workload))
    return Workload(None, workload.prompt_tokens, workload.output_tokens, arrival_s=workload.arrival_s,
                    predicted=predicted, prefix=workload.prefix)  # fmt: skip


def cached(it: Case, seed: int) -> Case:
    """The same with prefix caching, and prompts that often begin as an earlier one does."""
    rng = np.random.default_rng(seed + 1_000_000)
    tokens, fresh = int(rng.choice([1, 2, 3, 4, 8, 16])), 0
    reuse = float(rng.choice([0, 0.5, 0.9]))
    rows: list[list[int]] = []
    for s in it.workload.prompt_tokens.tolist():
        most = -(-s // tokens)
        row: list[int] = []
        if rows and rng.random() < reuse:
            old = rows[int(rng.integers(len(rows)))]
            row = old[: int(rng.integers(0, min(most, len(old)) + 1))]
        more = int(rng.integers(0, most - len(row) + 1)) if rng.random() < 0.2 else most - len(row)
        rows.append(row + list(range(fresh, fresh + more)))
        fresh += more
    w = it.workload
    workload = Workload(None, w.prompt_tokens, w.output_tokens, arrival_s=w.arrival_s, predicted=w.predicted,
                        prefix=PrefixBlocks.of(rows, tokens))  # fmt: skip
    return it._replace(workload=workload, config=replace(it.config, enable_prefix_caching=True))


def speculative(it: Case, seed: int) -> Case:
    """The same with drafts. A cap on long prefills below a decode's tokens would stop vLLM itself with an error."""
    rng = np.random.default_rng(seed + 2_000_000)
    drafts, cap = int(rng.integers(1, 5)), it.config.long_prefill_token_threshold
    budget = max(it.config.max_num_batched_tokens, 1 + drafts)
    config = replace(
        it.config, num_speculative_tokens=drafts, num_lookahead_tokens=int(rng.choice([0, drafts])),
        acceptance_rate=float(rng.choice([0, 0.3, 0.7, 1])), seed=seed, max_num_batched_tokens=budget,
        long_prefill_token_threshold=max(cap, 1 + drafts) if cap else 0,
    )  # fmt: skip
    slack = -(-config.slack // config.block_size) * config.block_size
    return it._replace(kv_tokens=it.kv_tokens + slack, config=config)


KINDS = ("plain", "cached", "drafts", "cached, drafts")


def made(kind: str, seed: int, *, most: int = 23) -> Case:
    """The instance of this seed: plain, with prefix caching, with drafts, or with both."""
    it = case(seed, most=most)
    it = cached(it, seed) if "cached" in kind else it
    return speculative(it, seed) if "drafts" in kind else it

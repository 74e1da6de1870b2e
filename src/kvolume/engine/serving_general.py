"""Hands an instance to the general serving kernel: the one with prefix caching and speculative decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.engine.instance import Instance
from kvolume.engine.leap import costs_of
from kvolume.engine.result import Episodes, Run, Segments
from kvolume.engine.served import Gaps, Served
from kvolume.engine.serving_config import ServingConfig
from kvolume.engine.watch import Progress, watched
from kvolume.geometry import volume
from kvolume.policy import Columns, Policy, Protected
from kvolume.policy.rules import MOST_SHARED_BLOCKS

if TYPE_CHECKING:
    from kvolume.engine.kernels.serving_state import Options

Ints = npt.NDArray[np.int64]


class Keys(NamedTuple):
    """What the policy says of each request for every number of blocks that others may hold for it: KEYS_AT + blocks."""

    at: Ints
    ranks: Ints  # equal keys, equal ranks
    charges: npt.NDArray[np.float64]


def serve_general(i: Instance, config: ServingConfig, options: Options, progress: Progress | None) -> Run:
    """Serve everybody."""
    from kvolume.engine.kernels import serving_cache as k
    from kvolume.engine.kernels.bitset import empty_sets
    from kvolume.engine.kernels.serving_general import serve_general as serve
    from kvolume.engine.kernels.state import KV_TICKS

    n, keys = len(i), keys_of(i, config.block_size)
    ids, offsets, tokens = np.zeros(1, np.int64), np.zeros(n + 1, np.int64), 1
    if i.prefix is not None:
        ids, offsets, tokens = i.prefix.ids, i.prefix.offsets, i.prefix.tokens
    most = int(config.blocks(int((i.prompt + i.output).max()) + config.slack))
    p = np.stack((i.arrival, i.prompt, i.output, i.most, offsets[:-1], np.diff(offsets), keys.at), axis=1)
    r, z, q, t, own = k.fresh_memory(p, config.max_num_seqs, most, i.kv_tokens // config.block_size, i.guess)
    v = np.zeros((6, 2 * n + 2), np.int64)
    v[-1] = np.arange(v.shape[1])
    z[k.SLOTS] = own.shape[0] - 1
    f, (low, high) = np.zeros(4), empty_sets(1, n)
    assert isinstance(i.policy, Policy)
    admission = i.policy.admission
    extras = k.Extras(
        config.enable_prefix_caching, config.num_speculative_tokens, config.num_lookahead_tokens, config.accepts,
        config.seed, tokens, i.prefix is not None, admission.alpha if isinstance(admission, Protected) else 0.0,
    )  # fmt: skip
    log, stretches, gaps, finished = watched(
        lambda done: serve(
            p, r, z, f, v, keys.ranks, keys.charges, ids, q, t, own, low, high, options, extras, costs_of(i.clock), done
        ),
        n, progress,
    )  # fmt: skip
    start, first, finish, joined, start_step, evicted = (
        np.ascontiguousarray(r[:, c]) for c in (k.START, k.FIRST, k.FINISH, k.JOINED, k.START_STEP, k.EVICTED)
    )
    counts = (int(z[c]) for c in (k.PASSES, k.TOKENS, k.AGAIN, k.CACHED))
    return Run(
        start, first, finish, evicted, start_step > joined, Episodes(*log[:, : z[k.STAYS]]),
        Segments(*stretches[:, : z[k.STRETCHES]]), float(f[KV_TICKS]), bool(finished),
        Served(Gaps(*gaps[:, : z[k.GAPS]]), *counts),
    )  # fmt: skip


def common_tokens(i: Instance) -> Ints:
    """Leading prompt tokens of each request that some other request's prompt may begin with too."""
    return np.zeros(len(i), np.int64) if i.prefix is None else i.prefix.common()


def any_shared(i: Instance) -> bool:
    """Do any two prompts begin alike?"""
    return bool(common_tokens(i).any())


def keys_of(i: Instance, block: int) -> Keys:
    """Keys and charges of all requests, with up to as many blocks left out as others may ever hold."""
    blocks = np.minimum(np.minimum(i.prompt, common_tokens(i)) // block, MOST_SHARED_BLOCKS)
    at = np.concatenate(([0], np.cumsum(blocks + 1)))
    j = np.repeat(np.arange(len(i)), blocks + 1)
    shared = np.minimum((np.arange(at[-1]) - at[:-1][j]) * block, i.prompt[j] - 1)
    columns = Columns(j, i.arrival[j], np.maximum(i.seen[j] - shared, 0), i.predicted[j])
    assert i.fitted is not None
    _, ranks = np.unique(i.fitted.keys(columns), return_inverse=True)
    charges = np.asarray(volume(columns.prompt, columns.predicted), np.float64)
    return Keys(at[:-1], np.asarray(ranks, np.int64), charges)

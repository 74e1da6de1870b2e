"""Which prompts begin alike: ids of prompt blocks, as Mooncake's `hash_ids` give them.

A row of ids stands for the blocks of a prompt, `tokens` tokens each (512 in Mooncake's logs), the last one perhaps
not full. Two prompts begin alike as far as their ids agree from the first on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError

Ints = npt.NDArray[np.int64]
SIZES = (512, 16, 32, 64, 128, 256, 1024, 8, 4, 2, 1)  # tokens of a block, the usual ones first


@dataclass(frozen=True, eq=False)
class PrefixBlocks:
    """Ids of the prompts' blocks: those of request i are ids[offsets[i]:offsets[i + 1]], each of `tokens` tokens.

    A prompt may have fewer ids than blocks: what follows the last id is its own.
    """

    ids: Ints  # shape (offsets[-1],)
    offsets: Ints  # shape (n + 1,)
    tokens: int

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]], tokens: int = 512) -> PrefixBlocks:
        """From a list of ids for each request."""
        lists = [np.asarray(row, np.int64).reshape(-1) for row in rows]
        offsets = np.concatenate(([0], np.cumsum([len(x) for x in lists], dtype=np.int64)))
        return cls(np.concatenate([np.empty(0, np.int64), *lists]), offsets, tokens)

    def __len__(self) -> int:
        return int(self.offsets.size) - 1

    @property
    def counts(self) -> Ints:
        """Ids of each request."""
        return np.diff(self.offsets)

    def take(self, rows: npt.NDArray[np.intp]) -> PrefixBlocks:
        """Those of the requests named, in that order."""
        counts = self.counts[rows]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        where = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], counts)
        return PrefixBlocks(self.ids[where], offsets, self.tokens)

    def check(self, prompt_tokens: Ints) -> None:
        """Raise InputError where rows and requests do not fit together."""
        n = prompt_tokens.size
        if self.tokens < 1:
            raise InputError(f"A prefix block must have at least 1 token. Got {self.tokens} instead.")
        if len(self) != n:
            raise InputError(f"prefix has {len(self)} rows, but prompt_tokens has {n}: give one each.")
        long = self.counts > -(-prompt_tokens // self.tokens)
        if long.any():
            row = int(np.argmax(long))
            raise InputError(
                f"Index {row}: prefix has {self.counts[row]} ids for blocks of {self.tokens} tokens, more than a "
                f"prompt of {prompt_tokens[row]} tokens has blocks."
            )

    def chained(self) -> Ints:
        """Ids, numbered from 0, that stand for a block and all before it: equal ids, equal beginnings.

        Mooncake's are such already; ids of a block's own content are told apart by what precedes them.
        """
        _, ids = np.unique(self.ids, return_inverse=True)
        before = np.concatenate(([-1], ids[:-1])) if ids.size else ids
        before[self.offsets[:-1][self.counts > 0]] = -1
        first = np.full(ids.max(initial=-1) + 1, -2)
        first[ids[::-1]] = before[::-1]
        if (first[ids] == before).all():
            return np.asarray(ids, np.int64)
        known: dict[tuple[int, int], int] = {}
        starts = set(self.offsets[:-1].tolist())
        out, last = np.empty(ids.size, np.int64), -1
        for k, i in enumerate(ids.tolist()):
            last = out[k] = known.setdefault((-1 if k in starts else int(last), i), len(known))
        return out

    def common(self) -> Ints:
        """Leading prompt tokens of each request that another's prompt may begin with too; of chained ids."""
        alone = np.concatenate((np.bincount(self.ids)[self.ids] < 2, [True]))
        stops = np.flatnonzero(alone)
        first_stop = stops[np.searchsorted(stops, self.offsets[:-1])]
        return np.asarray((np.minimum(first_stop, self.offsets[1:]) - self.offsets[:-1]) * self.tokens)


def block_tokens(rows: Sequence[Sequence[int]], prompts: Sequence[int]) -> int | None:
    """The tokens of a block that make every row as long as its prompt has blocks; None where no usual size does."""
    for size in SIZES:
        if all(len(row) == -(-p // size) for row, p in zip(rows, prompts, strict=True)):
            return size
    return None

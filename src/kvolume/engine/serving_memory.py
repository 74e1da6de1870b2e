"""The KV cache of the serving engine: which blocks each request holds, and what it finds of itself in the cache.

Source: KVCacheManager.allocate_slots and get_computed_blocks (vLLM 0.32), for full attention in all layers.
"""

from __future__ import annotations

from kvolume.engine.block_pool import BlockPool
from kvolume.engine.instance import Instance
from kvolume.engine.serving_config import ServingConfig
from kvolume.policy.rules import MOST_SHARED_BLOCKS, block_key


class Memory:
    """Blocks of the running requests; a request is known by its rank in order of arrival."""

    def __init__(self, instance: Instance, config: ServingConfig) -> None:
        self.i, self.config = instance, config
        self.size = instance.kv_tokens // config.block_size
        self.pool = BlockPool(self.size)
        self.computed: dict[int, int] = {}  # tokens with KV, of each running request
        self._blocks: dict[int, list[int]] = {}
        self._named: dict[int, int] = {}  # leading blocks of each that can be found by their content

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return self.pool.free

    def key(self, j: int, block: int) -> int:
        """By what this block of the request can be found, once it is full."""
        prefix, size = self.i.prefix, self.config.block_size
        if prefix is None:
            return block_key(block, size, j, 0, 0, 0, 1)
        ids = prefix.offsets[j + 1] - prefix.offsets[j]
        at = min(((block + 1) * size - 1) // prefix.tokens, ids - 1)
        chain = int(prefix.ids[prefix.offsets[j] + at]) if ids else 0
        return block_key(block, size, j, int(self.i.prompt[j]), chain, int(ids), prefix.tokens)

    def hit(self, j: int, known: int) -> list[int]:
        """Blocks of a waiting request that are in the cache: from the first on, and never that of its last token."""
        if not self.config.enable_prefix_caching:
            return []
        return self.pool.find(self.key(j, k) for k in range((known - 1) // self.config.block_size))

    def shared(self, j: int) -> int:
        """Prompt tokens of an arriving request in blocks that running requests hold: policies leave them out."""
        if not self.config.enable_prefix_caching or self.i.prefix is None:
            return 0
        blocks = 0
        most = min(int(self.i.prompt[j]) // self.config.block_size, MOST_SHARED_BLOCKS)
        for block in self.pool.find(self.key(j, k) for k in range(most)):
            if self.pool.idle([block]):
                break
            blocks += 1
        return min(blocks * self.config.block_size, int(self.i.prompt[j]) - 1)

    def need(self, tokens: int, hit: list[int]) -> int:
        """Free blocks that a waiting request takes to have slots for so many tokens."""
        return max(0, int(self.config.blocks(tokens)) - len(hit)) + self.pool.idle(hit)

    def more(self, j: int, tokens: int) -> int:
        """Blocks that so many tokens more would take; a request may have some left from rejected drafts."""
        slots = self.computed[j] + tokens + self.config.num_lookahead_tokens
        return max(0, int(self.config.blocks(slots)) - len(self._blocks[j]))

    def enter(self, j: int, hit: list[int]) -> None:
        """The request runs, with what it found in the cache."""
        self.pool.share(hit)
        self._blocks[j], self._named[j] = list(hit), len(hit)
        self.computed[j] = len(hit) * self.config.block_size

    def compute(self, j: int, tokens: int, known: int) -> None:
        """It computes so many tokens more; what is full then, drafts apart, can be found from now on."""
        self._blocks[j] += self.pool.take(self.more(j, tokens))
        self.computed[j] += tokens
        if self.config.enable_prefix_caching:
            full = min(self.computed[j], known) // self.config.block_size
            for k in range(self._named[j], full):
                self.pool.name(self._blocks[j][k], self.key(j, k))
            self._named[j] = max(self._named[j], full)

    def leave(self, j: int) -> None:
        """It gives its blocks back."""
        del self.computed[j], self._named[j]
        self.pool.give_back(self._blocks.pop(j))

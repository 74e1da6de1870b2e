"""KV blocks as vLLM's pool keeps them: who may be reused next, and which full blocks can be found by their content.

A block that nobody holds stays in the free queue with its content until it is taken for something else. The queue
is served from the front. Blocks that are given back go to the end, the last of a request first, so that of two
blocks the one that has not been used for longer, or is deeper in its request, is lost first; blocks that are not
full have no key and go to the front. Two blocks may have the same content: the one that got its key first is found.
Source: BlockPool and FreeKVCacheBlockQueue (vLLM 0.32).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

Key = int  # of a block's content and all before it


class BlockPool:
    """Blocks 1..size; vLLM's null block is not among them."""

    def __init__(self, size: int) -> None:
        self._queue = OrderedDict.fromkeys(range(1, size + 1))
        self._held = [0] * (size + 1)  # by how many requests
        self._key: dict[int, Key] = {}
        self._found: dict[Key, dict[int, None]] = {}  # blocks with this content, in the order in which they got it

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return len(self._queue)

    def find(self, keys: Iterable[Key]) -> list[int]:
        """Blocks with the contents asked for, up to the first that there is none of."""
        blocks = []
        for key in keys:
            same = self._found.get(key)
            if not same:
                break
            blocks.append(next(iter(same)))
        return blocks

    def idle(self, blocks: Iterable[int]) -> int:
        """How many of them nobody holds."""
        return sum(not self._held[b] for b in blocks)

    def share(self, blocks: Iterable[int]) -> None:
        """One more request holds them."""
        for b in blocks:
            if not self._held[b]:
                del self._queue[b]
            self._held[b] += 1

    def take(self, count: int) -> list[int]:
        """So many blocks for new content; what they had is lost."""
        taken = [self._queue.popitem(last=False)[0] for _ in range(count)]
        for b in taken:
            self._held[b] = 1
            key = self._key.pop(b, None)
            if key is not None:
                same = self._found[key]
                del same[b]
                if not same:
                    del self._found[key]
        return taken

    def name(self, block: int, key: Key) -> None:
        """From now on the block can be found by its content."""
        self._key[block] = key
        self._found.setdefault(key, {})[block] = None

    def give_back(self, blocks: list[int]) -> None:
        """One request less holds them; `blocks` in the order of its tokens."""
        front = []
        for b in reversed(blocks):
            self._held[b] -= 1
            if self._held[b]:
                continue
            self._queue[b] = None
            if b not in self._key:
                front.append(b)
        for b in reversed(front):
            self._queue.move_to_end(b, last=False)

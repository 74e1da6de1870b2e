"""The dry run: vLLM's own queue in charge, the policy's beside it, and a count of where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kvolume.vllm.queue import PolicyQueue


class ObservedQueue:
    """vLLM's queue, mirrored into a policy's queue, which counts the pops that it would have made otherwise."""

    def __init__(self, stock: Any, policy: PolicyQueue) -> None:
        self.stock, self.policy = stock, policy

    def _mirror(self, do: str, *args: Any) -> None:
        with self.policy.book.guard.against("observing", "vLLM's order, unobserved"):
            getattr(self.policy, do)(*args)

    def add_request(self, request: Any) -> None:
        self.stock.add_request(request)
        self._mirror("add_request", request)

    def prepend_request(self, request: Any) -> None:
        self.stock.prepend_request(request)
        self._mirror("prepend_request", request)

    def prepend_requests(self, requests: Iterable[Any]) -> None:
        requests = list(requests)
        self.stock.prepend_requests(requests)
        self._mirror("prepend_requests", requests)

    def peek_request(self) -> Any:
        return self.stock.peek_request()

    def pop_request(self) -> Any:
        request = self.stock.pop_request()
        self._mirror("take", request)
        return request

    def remove_request(self, request: Any) -> None:
        self.stock.remove_request(request)
        self._mirror("remove_request", request)

    def remove_requests(self, requests: Iterable[Any]) -> None:
        requests = list(requests)
        self.stock.remove_requests(requests)
        self._mirror("remove_requests", requests)

    def has_request(self, request: Any) -> bool:
        return request in self.stock

    __contains__ = has_request

    def __bool__(self) -> bool:
        return len(self.stock) > 0

    def __len__(self) -> int:
        return len(self.stock)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.stock)

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self.stock)[::-1])

    def __getitem__(self, index: int) -> Any:
        return list(self.stock)[index]

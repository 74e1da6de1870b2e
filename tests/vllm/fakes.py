"""Stand-ins for vLLM's requests, for what needs no vLLM."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kvolume.policy import Policy, parse
from kvolume.vllm.guard import Guard
from kvolume.vllm.lengths import Lengths
from kvolume.vllm.queue import PolicyQueue
from kvolume.vllm.view import Book


def fake(i: int, prompt: int = 10, output: int = 5, *, hint: Any = "output", priority: int = 0, **more: Any) -> Any:
    """A waiting request that wants `output` tokens and says so, unless `hint` is another dict or None."""
    extra = {"predicted_output_len": output} if hint == "output" else hint
    return SimpleNamespace(
        request_id=str(i), num_prompt_tokens=prompt, max_tokens=max(output, 1) if hint == "output" else 4096,
        num_output_tokens=0, num_preemptions=0, priority=priority, lora_request=None, session_id=None, cache_salt=None,
        status=SimpleNamespace(name="WAITING"), sampling_params=SimpleNamespace(extra_args=extra), **more,
    )  # fmt: skip


class Ticks:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def queue(policy: str | Policy = "svf:admission=greedy", **more: Any) -> tuple[PolicyQueue, Ticks]:
    """A queue for a policy, and its clock."""
    clock = Ticks()
    planner = parse(policy) if isinstance(policy, str) else policy
    assert isinstance(planner, Policy)
    book = Book(planner, Lengths(), Guard(), 10_000, clock, by_priority=more.pop("by_priority", False))
    return PolicyQueue(book, planner, **more), clock


def pops(q: PolicyQueue) -> list[str]:
    """The ids of all that wait, in the order in which they are popped."""
    out = []
    while len(q):
        head = q.peek_request()
        assert q.pop_request() is head
        out.append(head.request_id)
    return out

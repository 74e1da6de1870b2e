"""The policy's own admission and eviction rules, asked about vLLM's running requests.

Greedy is vLLM's test, so nothing is held back for it. The others (look-ahead, peak, protected) are asked with the
budget in whole blocks. What vLLM holds beyond what its running requests account for (remote loads, speculative
slots, blocks shared with a request that has left) is taken off the budget, never added to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kvolume.policy import Greedy, Policy, Request, Running, State
from kvolume.vllm import compat
from kvolume.vllm.guard import Guard
from kvolume.vllm.queue import PolicyQueue
from kvolume.vllm.view import Book

MOST_STEPS = 16  # that a refusal stands while nobody comes or goes: an engine may make several tokens in a step


class Rules:
    """Admission and eviction for one scheduler; holds a picture of the running requests for the time of a step."""

    def __init__(
        self, scheduler: Any, policy: Policy, book: Book, guard: Guard, queue: PolicyQueue
    ) -> None:
        self.scheduler, self.policy, self.book, self.guard = scheduler, policy, book, guard
        self.queue = queue
        self.block = int(scheduler.block_size)
        self.kv_tokens = compat.usable_blocks(scheduler) * self.block
        self.lag = compat.lag(scheduler)
        self.holds_back = not isinstance(policy.admission, Greedy)
        self._state: State | None = None
        self.step = 0
        # who, beside how many, after how many starts, until which step
        self._refused: tuple[Request, int, int, int] | None = None
        self._seen = self._popped = 0  # running requests in it, and requests popped before it was made

    def begin(self) -> None:
        """A step begins: what was known of the running requests is out of date."""
        self._state = None
        self.step += 1

    def admits(self, request: Request) -> bool:
        """May this request start beside those that run? Yes where nothing runs: vLLM's own test has the last word."""
        running = self.scheduler.running
        if not running:
            return True
        if self._refused is not None:
            refused, members, starts, until = self._refused
            if refused is request and members == len(running) and starts == self.queue.starts and self.step < until:
                return False  # nobody has come or gone since, everybody decodes, and it is too early
        with self.guard.against("the policy's admission", "vLLM's own test"):
            grown, popped = len(running) - self._seen, self.queue.popped
            if self._state is None or grown != len(popped) - self._popped:
                self._state = self.picture()
            elif grown:  # those admitted since the picture was made
                self._state.running += [t.running(t.view.kept, self.lag) for t in popped[-grown:]]
            self._seen, self._popped = len(running), len(popped)
            late = replace(request, guess=request.guess + self.lag) if self.lag else request
            wait = self.policy.admission.wait(late, self._state)
            if wait and not self.policy.backfill and not any(map(compat.prefills, running)):
                self._refused = (request, len(running), self.queue.starts, self.step + min(wait, MOST_STEPS))
            return not wait
        return True

    def picture(self) -> State:
        """The running requests as the policy sees them, in order of admission."""
        running = []
        tickets = self.book.tickets
        for request in self.scheduler.running:
            ticket = tickets.get(request.request_id)
            if ticket is not None:
                running.append((ticket.started, ticket.running(compat.made(request), self.lag)))
        running.sort(key=lambda pair: pair[0])
        state = State(0, self.kv_tokens, running=[r for _, r in running], block=self.block)
        held = sum(r.holds - 1 for r in state.running)  # before the coming step, not rounded
        state.kv_tokens -= max(0, compat.used_blocks(self.scheduler) * self.block - held - self.block * len(running))
        return state

    def order_victims(self) -> None:
        """Put the policy's victims where vLLM looks for them: at the end of `running`, the first victim last."""
        running = self.scheduler.running
        free = self.kv_tokens // self.block - compat.used_blocks(self.scheduler)
        if free > len(running) or len(running) < 2:
            return  # nobody will be preempted: a running request takes one block more at most
        by_id = {self.book.tickets[r.request_id].view.id: r for r in running if r.request_id in self.book.tickets}
        victims: list[Running] = self.policy.eviction.victims(self.picture())
        last = [by_id[v.request.id] for v in reversed(victims)]
        names = {r.request_id for r in last}
        running[:] = [r for r in running if r.request_id not in names] + last

"""The waiting queue in a policy's order, with the interface of vLLM's RequestQueue.

Preempted requests first (unless told otherwise), then the order's heap, with the oldest taken out of turn where the
order gives arrivals a share. vLLM allocates blocks for the request that it peeked at and runs the one that it pops:
the head is chosen once and stays until the queue changes. While a `gate` is set, the queue looks empty (`bool`)
if the policy admits nobody; `len` always tells the truth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

from kvolume.geometry import volume
from kvolume.policy import Policy, Request, Start, State
from kvolume.policy.policy import first_fit
from kvolume.policy.rules import takes_oldest
from kvolume.vllm.view import Book, Ticket

Entry = tuple[Any, ...]  # sort key, ..., version, ticket


def _admit(request: Request) -> bool:
    return True


class PolicyQueue:
    """A heap by key and a heap by arrival over the same tickets; entries of requests that left are skipped later."""

    def __init__(self, book: Book, policy: Policy, *, preempted_first: bool = True) -> None:
        self.book, self.policy, self.preempted_first = book, policy, preempted_first
        self.gate: Callable[[Request], bool] | None = None
        self.closed = False  # nobody at all, whatever the gate says
        self.held_back = 0  # times that somebody waited and nobody was admitted
        self.out_of_turn = 0  # pops of another than the oldest
        self.differed = 0  # dry run: times that vLLM took another request than the policy would have
        self.starts = 0  # pops so far
        self.popped: list[Ticket] = []  # since the caller last cleared it
        self.state = State(0, book.kv_tokens)  # its two counters are those of the arrival share
        self._preempted: deque[Ticket] = deque()
        self._keyed: list[Entry] = []
        self._oldest: list[Entry] = []
        self._live = self._faulty = self._versions = 0
        self._head: Ticket | None = None
        self._nobody = False  # the search for a head has been in vain

    # --- what vLLM calls -------------------------------------------------------------------------------------

    def add_request(self, request: Any) -> None:
        """A request that arrives, or comes back from a state in which it could not run."""
        if not self._live:
            self.state.admitted_volume = self.state.lane_volume = 0.0
        self._push(self.book.ticket(request))

    def prepend_request(self, request: Any) -> None:
        """A request that was preempted, or was popped and turned out not to be ready."""
        ticket = self.book.ticket(request)
        preempted = int(getattr(request, "num_preemptions", 0)) > ticket.preemptions
        if preempted:
            ticket.preemptions = request.num_preemptions
            with self.book.guard.against("taking back a preempted request", "it keeps its first guess"):
                self.book.preempted(ticket)
            ticket.ahead, ticket.yielded = self.preempted_first and not ticket.yielded, False
        elif ticket in self.popped:
            self.popped.remove(ticket)
            self.undo(ticket)
        self._push(ticket, first=ticket.ahead)

    def prepend_requests(self, requests: Iterable[Any]) -> None:
        """Each in turn to the front, so that the last of them is first."""
        for request in list(requests):
            self.prepend_request(request)

    def peek_request(self) -> Any:
        """The next request; the one that pop_request will return."""
        head = self._find()
        if head is None:
            raise IndexError("peek from an empty queue")
        return head.request

    def pop_request(self) -> Any:
        """Take the next request out and charge its volume to the share's counters."""
        head = self._find()
        if head is None:
            raise IndexError("pop from an empty queue")
        self._take(head)
        return head.request

    def take(self, request: Any) -> None:
        """vLLM has chosen this request itself (dry run): account for it as if it had been popped here."""
        ticket = self.book.ticket(request)
        if ticket.waiting:
            self.differed += ticket is not self._find()
            self._take(ticket)

    def _take(self, head: Ticket) -> None:
        self.out_of_turn += not head.ahead and head is not self.oldest()
        self._drop(head)
        before = self.state.admitted_volume, self.state.lane_volume
        self.state.charge(Start(head.view, head.lane))
        if head.view.admissions == 0:
            head.charged = self.state.admitted_volume - before[0], self.state.lane_volume - before[1]
        if not self._live:  # the share counts since the queue was last empty
            self.state.admitted_volume = self.state.lane_volume = 0.0
        head.started = self.starts = self.starts + 1
        self.popped.append(head)

    def remove_request(self, request: Any) -> None:
        """Take a request out of the queue, if it is there."""
        self.remove_requests((request,))

    def remove_requests(self, requests: Iterable[Any]) -> None:
        """Take requests out of the queue; those that are not there are passed over."""
        for request in requests:
            ticket = self.book.tickets.get(request.request_id)
            if ticket is not None and ticket.request is request and ticket.waiting:
                self._drop(ticket)

    def has_request(self, request: Any) -> bool:
        """Is it waiting here?"""
        ticket = self.book.tickets.get(request.request_id)
        return ticket is not None and ticket.request is request and ticket.waiting

    __contains__ = has_request

    def __bool__(self) -> bool:
        return self._live > 0 and self._find() is not None

    def __len__(self) -> int:
        return self._live

    def __iter__(self) -> Iterator[Any]:
        """In the policy's order, whatever the gate says and leaving the share out."""
        first = [t for t in self._preempted if t.waiting]
        rest = sorted(e for e in (self._oldest if self._faulty else self._keyed) if _valid(e))
        seen = {id(t) for t in first}
        return iter([t.request for t in first] + [e[-1].request for e in rest if id(e[-1]) not in seen])

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self)[::-1])

    def __getitem__(self, index: int) -> Any:
        return list(self)[index]

    # --- what the scheduler's mixin calls --------------------------------------------------------------------

    def look_again(self) -> None:
        """Forget who was next: something that the choice depends on has changed."""
        self._head, self._nobody = None, False

    def oldest(self) -> Ticket | None:
        """The request that has waited longest, preempted ones left out."""
        self._clean(self._oldest)
        return self._oldest[0][-1] if self._oldest else None

    def rekey(self) -> None:
        """Build the heaps again, after the keys have changed."""
        live = [e[-1] for e in self._keyed if _valid(e)]
        self._keyed, self._oldest = [self._by_key(t) for t in live], [self._by_arrival(t) for t in live]
        heapify(self._keyed)
        heapify(self._oldest)
        self._faulty = sum(t.faulty for t in live)
        self.look_again()

    def undo(self, ticket: Ticket) -> None:
        """It was popped and has not started: take its charge back."""
        if ticket.view.admissions == 0:
            self.state.admitted_volume = max(0.0, self.state.admitted_volume - ticket.charged[0])
            self.state.lane_volume = max(0.0, self.state.lane_volume - ticket.charged[1])
            ticket.charged = (0.0, 0.0)

    def settle(self, ticket: Ticket, tokens: int) -> None:
        """A request has ended with more tokens than its volume was charged for: charge the rest."""
        view = ticket.view
        if tokens > view.predicted and ticket.charged[0]:
            rest = float(volume(view.prompt, tokens)) - ticket.charged[0]
            self.state.admitted_volume += rest
            self.state.lane_volume += rest if ticket.charged[1] else 0.0

    # --- inside ----------------------------------------------------------------------------------------------

    def _by_key(self, t: Ticket) -> Entry:
        return (t.major, t.slices, t.view.arrival if t.faulty else t.key, t.view.arrival, t.view.id, t.version, t)

    def _by_arrival(self, t: Ticket) -> Entry:
        return (t.major, t.view.arrival, t.view.id, t.version, t)

    def _push(self, ticket: Ticket, first: bool = False) -> None:
        if ticket.waiting:  # it is here already: vLLM moves it
            self._drop(ticket)
        self._versions += 1
        ticket.version, ticket.waiting = self._versions, True
        self._live += 1
        self.look_again()
        ticket.ahead = first
        if first:
            self._preempted.appendleft(ticket)
            return
        self._faulty += ticket.faulty
        heappush(self._keyed, self._by_key(ticket))
        heappush(self._oldest, self._by_arrival(ticket))
        if len(self._keyed) + len(self._oldest) > 4 * self._live + 64:
            self._keyed, self._oldest = list(filter(_valid, self._keyed)), list(filter(_valid, self._oldest))
            heapify(self._keyed)
            heapify(self._oldest)

    def _drop(self, ticket: Ticket) -> None:
        ticket.waiting = False
        self._live -= 1
        self.look_again()
        if ticket.ahead:
            self._preempted.remove(ticket)
        else:
            self._faulty -= ticket.faulty

    def _find(self) -> Ticket | None:
        """Who is next: `Policy`'s own search, over heaps."""
        if self._head is None and self._live and not (self.closed or self._nobody):
            passed: list[tuple[list[Entry], Entry]] = []
            seen: list[Ticket] = []
            start = first_fit(self._in_order(passed, seen), self.gate or _admit, self.policy.backfill)
            for heap, entry in passed:
                heappush(heap, entry)
            if start is None:
                self._nobody = True
                self.held_back += 1
            else:
                self._head = seen[-1]
                self._head.lane = start.lane
        return self._head

    def _in_order(self, passed: list[tuple[list[Entry], Entry]], seen: list[Ticket]) -> Iterator[Start]:
        """The waiting requests, next first; heap entries that are passed over are taken out and noted."""
        for ticket in self._preempted:
            seen.append(ticket)
            yield Start(ticket.view)
        heap = self._oldest if self._faulty else self._keyed
        chosen = None if self._faulty else self._lane()
        if chosen is not None:
            seen.append(chosen)
            yield Start(chosen.view, lane=True)
        while True:
            self._clean(heap)
            if not heap:
                return
            ticket = heap[0][-1]
            if ticket is not chosen:
                seen.append(ticket)
                yield Start(ticket.view)
            passed.append((heap, heappop(heap)))

    def _lane(self) -> Ticket | None:
        """The oldest request, if the arrival share takes it out of turn."""
        share = self.policy.order.share
        if not share or (ticket := self.oldest()) is None:
            return None
        oldest = float(volume(ticket.view.prompt, ticket.view.predicted))
        took = takes_oldest(oldest, self.state.lane_volume, self.state.admitted_volume, share)
        return ticket if took else None

    @staticmethod
    def _clean(heap: list[Entry]) -> None:
        while heap and not _valid(heap[0]):
            heappop(heap)


def _valid(entry: Entry) -> bool:
    ticket: Ticket = entry[-1]
    return ticket.waiting and ticket.version == entry[-2]

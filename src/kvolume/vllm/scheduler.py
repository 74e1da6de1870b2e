"""The plug-in itself: a mixin over vLLM's scheduler that swaps its waiting queue, and the factory vLLM calls.

vLLM's `schedule` is never copied: the policy speaks through the queue that `schedule` reads, and through the order
of `running`, whose last element vLLM preempts. Everything else passes through with `*args, **kwargs`.
"""

from __future__ import annotations

import time
from typing import Any

from kvolume.clock import parse_clock
from kvolume.errors import KvolumeError, ParameterError
from kvolume.policy import Arrival, Greedy, LargestVolume, ShortestOutput
from kvolume.vllm import compat, settings
from kvolume.vllm.admission import Rules
from kvolume.vllm.guard import Guard, log
from kvolume.vllm.lengths import Lengths
from kvolume.vllm.metrics import EVERY_S, Metrics
from kvolume.vllm.observe import ObservedQueue
from kvolume.vllm.queue import PolicyQueue
from kvolume.vllm.step_log import StepLog
from kvolume.vllm.view import Book

NS = 1_000_000_000


class Layer:
    """All that the plug-in adds to one scheduler."""

    def __init__(self, scheduler: Any, given: settings.Settings) -> None:
        self.scheduler, self.given = scheduler, given
        self.policy = policy = given.planner()
        self.guard, self.metrics = Guard(), Metrics()
        self.lengths = Lengths(given.trust_hints, given.keys)
        self.clock = time.monotonic_ns
        shared = compat.shared_prefix(scheduler) if given.shared_prefix else lambda request: 0
        self.book = Book(
            policy, self.lengths, self.guard, compat.usable_blocks(scheduler) * int(scheduler.block_size),
            lambda: self.clock(), shared, compat.by_priority(scheduler), int(scheduler.max_model_len),
            caps=compat.caps(scheduler), costs=parse_clock(given.clock),
        )  # fmt: skip
        refuse(scheduler, given)
        self.queue = PolicyQueue(self.book, policy, preempted_first=given.preempted_first)
        self.rules = Rules(scheduler, policy, self.book, self.guard, self.queue)
        self.observes = given.mode == "observe"
        self.orders_victims = isinstance(policy.eviction, LargestVolume) and not self.observes
        # vLLM's own order serves a second queue first; bare arrival order leaves it so, step for step
        bare = isinstance(policy.order, Arrival) and isinstance(policy.admission, Greedy)
        self.skips = hasattr(scheduler, "skipped_waiting") and not bare
        self.reason = "memory"  # of the preemptions that happen now
        self._measured: tuple[int, int] | None = None
        compat.adopt(PolicyQueue)
        compat.adopt(ObservedQueue)
        self.steps = StepLog(scheduler, given.step_log) if given.step_log else None
        scheduler.waiting = ObservedQueue(scheduler.waiting, self.queue) if self.observes else self.queue

    # --- around a step ---------------------------------------------------------------------------------------

    def before(self) -> None:
        """A step begins: bring stragglers back, let slices end, line up victims, close the door or guard it."""
        if self.observes:
            return
        queue = self.queue
        if self.skips:
            compat.bring_back_skipped(self.scheduler)
        if self.given.slice_tokens and len(queue):
            self._end_slices()
        if self.orders_victims:
            with self.guard.against("the policy's eviction", "vLLM's own choice"):
                self.rules.order_victims()
        if self.given.wait_for:
            queue.closed = self._too_few()
        if self.rules.holds_back:
            self.rules.begin()
            queue.gate = self.rules.admits
        if queue.gate or queue.closed:
            queue.look_again()

    def after(self, now: float) -> None:
        """A step ended: the queue tells the truth again, and what was popped has been admitted."""
        queue, metrics = self.queue, self.metrics
        if queue.gate or queue.closed:
            queue.gate, queue.closed = None, False
            queue.look_again()
        if queue.popped:
            for ticket in queue.popped:
                if compat.has_blocks(ticket.request):
                    metrics.counts["admitted"] += 1
                    metrics.counts["lane"] += ticket.lane
                else:
                    queue.undo(ticket)
            queue.popped.clear()
        metrics.decisions += 1
        if self.book.ended >= self.book.next_fit:
            with self.guard.against("fitting the policy", "its last fit"):
                self._measure()
                try:
                    self.book.fit()
                finally:
                    queue.rekey()
        if now >= metrics.next_s:
            metrics.next_s = now + EVERY_S
            self._publish()

    def finished(self, request: Any) -> None:
        """A request is over: learn its length, charge what it took beyond its prediction."""
        tokens = int(request.num_output_tokens)
        self.queue.remove_request(request)  # it may have been preempted with its last token in flight
        ticket = self.book.finish(request, compat.ended(request))
        if ticket is not None:
            self.queue.settle(ticket, tokens)
            self.metrics.sources[ticket.source] += 1
            if len(self.metrics.finished) < 10_000:
                self.metrics.finished.append((ticket.told, tokens))
            if not self.book.tickets:  # no step may follow for a long time
                self._publish()

    # --- inside ----------------------------------------------------------------------------------------------

    def _too_few(self) -> bool:
        """WAIT: while something runs, start nobody before enough wait or the oldest has waited long enough."""
        oldest = self.queue.oldest()
        return (
            bool(self.scheduler.running)
            and len(self.queue) < self.given.wait_for
            and (oldest is None or self.clock() - oldest.view.arrival < self.given.wait_timeout_s * NS)
        )

    def _end_slices(self) -> None:
        """Geometric slicing: whoever has used up its slice yields to those that wait, and keeps its tokens."""
        with self.guard.against("slicing", "no slice ends"):
            for request in list(self.scheduler.running):
                ticket = self.book.tickets.get(request.request_id)
                if ticket is None or not compat.can_preempt(self.scheduler, request):
                    continue
                end = self.given.slice_tokens * self.given.slice_ratio**ticket.slices
                if compat.made(request) >= end:
                    ticket.slices += 1
                    ticket.yielded = True
                    self.reason = "slice"
                    compat.preempt(self.scheduler, request)
                    self.reason = "memory"

    def _measure(self) -> None:
        """Length of a busy iteration, for orders that age."""
        now = time.monotonic_ns()
        steps = self.metrics.decisions
        if self._measured is not None and steps > self._measured[1]:
            self.book.round_ticks = max(1.0, (now - self._measured[0]) / (steps - self._measured[1]))
        self._measured = (now, steps)

    def _publish(self) -> None:
        with self.guard.against("metrics", "none"):
            for name in ("held_back", "out_of_turn", "differed"):
                self.metrics.counts[name] = getattr(self.queue, name)
            oldest = self.queue.oldest()
            waited = 0.0 if oldest is None else max(0, self.clock() - oldest.view.arrival) / NS
            self.metrics.publish(self.guard.faults, len(self.queue), waited)


def refuse(scheduler: Any, given: settings.Settings) -> None:
    """Raise ParameterError for what this engine cannot do with these settings."""
    policy = given.planner()
    partial = compat.whole_context_groups(scheduler)
    order = getattr(policy.order, "order", policy.order)
    if partial and not (isinstance(policy.admission, Greedy) and isinstance(order, Arrival | ShortestOutput)):
        raise ParameterError(
            f"Policy '{given.policy}' reckons with the KV volume of full attention, and this model has "
            f"{', '.join(partial)}: use fcfs:admission=greedy or sjf:admission=greedy."
        )
    if compat.by_priority(scheduler) and isinstance(policy.eviction, LargestVolume):
        raise ParameterError(
            "evict=largest needs --scheduling-policy fcfs: by priority, vLLM preempts the lowest priority itself."
        )
    stages = getattr(scheduler.vllm_config.parallel_config, "pipeline_parallel_size", 1)
    if given.slice_tokens and stages > 1:
        raise ParameterError(f"slice_tokens needs pipeline_parallel_size 1. Got {stages} instead.")


class Mixin:
    """What is put over vLLM's scheduler class."""

    _kvolume: Layer | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = settings.load(getattr(self.vllm_config, "additional_config", None))  # type: ignore[attr-defined]
        if given.mode == "off":
            return
        if not (lacking := ", ".join(compat.missing(self))):
            try:
                self._kvolume = Layer(self, given)
            except KvolumeError:
                raise  # a setting that this engine cannot follow
            except Exception as error:
                lacking = f"what the plug-in builds on ({type(error).__name__}: {error})"
        warning = [compat.untested(), f"kvolume is off: this vLLM's scheduler lacks {lacking}" if lacking else ""]
        if any(warning):
            log.warning("%s", "; ".join(filter(None, warning)))
        if not lacking:
            log.info("kvolume: policy %s, mode %s, vLLM %s", given.policy, given.mode, compat.version())

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        layer = self._kvolume
        if layer is None:
            return super().schedule(*args, **kwargs)  # type: ignore[misc]
        begin = time.monotonic()
        try:
            layer.before()
        except Exception as error:
            layer.guard.fault("before a step", error, "stock behaviour")
        middle = time.monotonic()
        try:
            return super().schedule(*args, **kwargs)  # type: ignore[misc]
        finally:
            end = time.monotonic()
            try:
                layer.after(end)
            except Exception as error:
                layer.guard.fault("after a step", error, "nothing")
            layer.metrics.seconds += middle - begin + time.monotonic() - end

    def _preempt_request(self, *args: Any, **kwargs: Any) -> Any:
        if self._kvolume is not None:
            self._kvolume.metrics.evictions[self._kvolume.reason] += 1
        return super()._preempt_request(*args, **kwargs)  # type: ignore[misc]

    def _free_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        layer = self._kvolume
        if layer is not None:
            with layer.guard.against("learning from a finished request", "nothing is learned"):
                layer.finished(request)
        return super()._free_request(request, *args, **kwargs)  # type: ignore[misc]


def mixed(base: type[Any]) -> type[Any]:
    """The mixin over a scheduler class of vLLM's."""
    if base not in _mixed:
        _mixed[base] = base if issubclass(base, Mixin) else type(f"Kvolume{base.__name__}", (Mixin, base), {})
    return _mixed[base]


_mixed: dict[type[Any], type[Any]] = {}


def Scheduler(*args: Any, **kwargs: Any) -> Any:
    """The scheduler for `--scheduler-cls kvolume.vllm.Scheduler`, over AsyncScheduler or Scheduler as needed."""
    config = kwargs["vllm_config"] if "vllm_config" in kwargs else args[0]
    scheduler = mixed(compat.base_class(config))
    return scheduler(*args, **kwargs)

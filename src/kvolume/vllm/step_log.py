"""What each step of a real engine computed, and how long it took: what a clock is fitted to (`kvolume fit clock`).

A step lasts from the end of the one before it to its own end, so that what happens between two passes counts; the
first after a pause lasts from the call of `schedule`. This holds for engines that schedule a step ahead, too.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvolume.errors import ParameterError
from kvolume.study.steps import KIND
from kvolume.vllm import compat
from kvolume.vllm.counts import StepCounts
from kvolume.vllm.guard import log

Row = dict[str, int]
FLUSH_S = 1.0


class StepClock:
    """Times the steps of a scheduler and hands each to `write`; a fault ends the measuring, never the engine."""

    def __init__(self, scheduler: Any, write: Callable[[Row], None]) -> None:
        self.scheduler, self.write = scheduler, write
        self.schedule, self.update = scheduler.schedule, scheduler.update_from_output
        self.counts = StepCounts(scheduler)
        self.in_flight: deque[tuple[Any, int, Row]] = deque()
        self.end, self.busy, self.works = 0, False, True
        scheduler.schedule = self.timed_schedule
        scheduler.update_from_output = self.timed_update

    def timed_schedule(self, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's own `schedule`, noting what it decided."""
        begin = time.monotonic_ns()
        step = self.schedule(*args, **kwargs)
        if self.works:
            try:
                counts = self.counts.of(step)  # of an empty step too: it says who has finished
                if step.total_num_scheduled_tokens:
                    self.in_flight.append((step, begin, counts))
            except Exception as error:
                self._stop(error)
        return step

    def timed_update(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        """The scheduler's own `update_from_output`, noting when it was done."""
        out = self.update(step, *args, **kwargs)
        if self.works:
            try:
                self._ended(step)
            except Exception as error:
                self._stop(error)
        return out

    def _ended(self, step: Any) -> None:
        now = time.monotonic_ns()
        if self.in_flight and self.in_flight[0][0] is step:
            _, begin, row = self.in_flight.popleft()
            self.write(row | {"ns": now - (self.end if self.busy else max(begin, self.end))})
        self.end, self.busy = now, bool(self.scheduler.has_unfinished_requests())

    def _stop(self, error: Exception) -> None:
        self.works = False
        log.warning("kvolume: the step log ends here: %s: %s", type(error).__name__, error)


class StepLog:
    """The same into a file: a line that says what the engine is, then a line for each step."""

    def __init__(self, scheduler: Any, path: str) -> None:
        try:
            self.file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 (open as long as the engine runs)
        except OSError as error:
            raise ParameterError(f"The step_log '{path}' cannot be written: {error.strerror or error}.") from None
        self.file.write(json.dumps(header(scheduler)) + "\n")
        self.next_s = 0.0
        self.clock = StepClock(scheduler, self.write)

    def write(self, row: Row) -> None:
        """One line; on disk at least once a second while steps follow, and at once where a pause may follow."""
        self.file.write(json.dumps(row) + "\n")
        now = time.monotonic()
        if now >= self.next_s or not self.clock.scheduler.has_unfinished_requests():
            self.next_s = now + FLUSH_S
            self.file.flush()


def header(scheduler: Any) -> dict[str, Any]:
    """What is to be known of the engine: versions, model, date, and the options that a simulation needs."""
    config = scheduler.vllm_config
    options = {
        "block_size": int(scheduler.block_size),
        "max_num_batched_tokens": int(config.scheduler_config.max_num_batched_tokens),
        "max_num_seqs": int(config.scheduler_config.max_num_seqs),
        "enable_chunked_prefill": int(bool(getattr(config.scheduler_config, "enable_chunked_prefill", True))),
        "long_prefill_token_threshold": int(getattr(config.scheduler_config, "long_prefill_token_threshold", 0) or 0),
        "scheduler_reserve_full_isl": int(bool(getattr(config.scheduler_config, "scheduler_reserve_full_isl", True))),
        "watermark": float(getattr(config.scheduler_config, "watermark", 0.0) or 0.0),
    }
    return {
        "kvolume": KIND, "vllm": compat.version(), "model": str(config.model_config.model),
        "date": time.strftime("%Y-%m-%d"), "kv_tokens": compat.usable_blocks(scheduler) * int(scheduler.block_size),
        "serving": ",".join(f"{name}={value:g}" for name, value in options.items()),
    }  # fmt: skip

"""Faults of a policy, or of what it was given: logged once, counted, never raised. An engine serves everybody."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

log = logging.getLogger("vllm.kvolume")  # below vLLM's own logger, so that its handlers print it


@dataclass(slots=True)
class Guard:
    """Counts faults by where they happened."""

    faults: Counter[str] = field(default_factory=Counter)

    def fault(self, where: str, error: BaseException, instead: str) -> None:
        """Count a fault; the first of its place is logged with its traceback and what is done instead."""
        self.faults[where] += 1
        if self.faults[where] == 1:
            log.error("kvolume: %s failed, %s from now on where it does", where, instead, exc_info=error)

    def against(self, where: str, instead: str) -> _Against:
        """A context in which whatever goes wrong is swallowed, logged and counted."""
        return _Against(self, where, instead)


class _Against:
    """What `Guard.against` gives; a plain class, as it stands in every scheduler step."""

    __slots__ = ("guard", "instead", "where")

    def __init__(self, guard: Guard, where: str, instead: str) -> None:
        self.guard, self.where, self.instead = guard, where, instead

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.guard.fault(self.where, error, self.instead)
        return True

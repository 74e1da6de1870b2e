"""The entry point `vllm.general_plugins`: the scheduler without a flag, when and only when KVOLUME_ENABLE=1."""

from __future__ import annotations

import os
from typing import Any


def register() -> None:
    """Called by vLLM in every process, perhaps several times. Does nothing unless it is asked for.

    It wraps the class that vLLM would pick itself; a scheduler class that the user names is left alone.
    """
    if os.environ.get("KVOLUME_ENABLE") != "1":
        return
    from vllm.config.scheduler import SchedulerConfig

    picked = SchedulerConfig.get_scheduler_cls
    if getattr(picked, "_kvolume", False):
        return

    def get_scheduler_cls(self: Any) -> Any:
        found = picked(self)
        if getattr(self, "scheduler_cls", None) is not None or not isinstance(found, type):
            return found
        from kvolume.vllm.scheduler import mixed

        return mixed(found)

    get_scheduler_cls._kvolume = True  # type: ignore[attr-defined]
    SchedulerConfig.get_scheduler_cls = get_scheduler_cls

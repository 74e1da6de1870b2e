"""The entry point `vllm.general_plugins`: the scheduler without a flag, when and only when KVOLUME_ENABLE=1.

Where the command line names the scheduler, or KVOLUME_ENABLE does, it also brings the scheduler's counts to /metrics.
"""

from __future__ import annotations

import os
import sys
from typing import Any

SCHEDULER = "kvolume.vllm.Scheduler"


def register() -> None:
    """Called by vLLM in every process, perhaps several times. Does nothing unless it is asked for.

    It wraps the class that vLLM would pick itself; a scheduler class that the user names is left alone.
    """
    enabled = os.environ.get("KVOLUME_ENABLE") == "1"
    if enabled or any(SCHEDULER in argument for argument in sys.argv):
        _share_metrics()
    if not enabled:
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


def _share_metrics() -> None:
    """Metrics are not worth a server that does not start."""
    from kvolume.vllm import metrics
    from kvolume.vllm.guard import log

    try:
        metrics.share()
    except Exception as error:
        log.warning("kvolume: its metrics will not be on /metrics (%s)", error)

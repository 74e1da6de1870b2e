"""What the steps of vLLM's scheduler compute: for the step log, and for the harness's clock."""

from __future__ import annotations

from typing import Any

from kvolume.geometry import attention_pairs


class StepCounts:
    """What steps compute, as a clock charges it and `engine.serving` counts it (kvolume.study.steps.COLUMNS)."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self.admitted: dict[str, tuple[int, int]] = {}  # preemptions so far, and tokens known at the last admission
        self.admissions = 0

    def of(self, step: Any) -> dict[str, int]:
        """The counts of a step that has just been scheduled; a prefill is counted with the last token of its chunk."""
        held = prefill = pairs = 0
        for name in getattr(step, "finished_req_ids", ()):
            self.admitted.pop(name, None)
        for name, tokens in step.num_scheduled_tokens.items():
            request = self.scheduler.requests[name]
            if name not in self.admitted or self.admitted[name][0] != request.num_preemptions:
                self.admitted[name] = request.num_preemptions, request.num_tokens
                self.admissions += 1
            after = int(request.num_computed_tokens)
            before = after - tokens
            held += after
            if before < self.admitted[name][1]:
                prefill += tokens
                pairs += attention_pairs(before, after)
        return {"running": len(step.num_scheduled_tokens), "kv_tokens": held, "prefill_tokens": prefill, "pairs": pairs}

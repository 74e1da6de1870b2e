"""Results to draw and to tell of."""

from __future__ import annotations

import pytest

from kvolume.study.comparison import Comparison, compare
from kvolume.workload import Workload


def pressed(n: int = 60, **options: object) -> Comparison:
    """A workload that queues and, under vllm, evicts."""
    workload = Workload(
        [i // 2 for i in range(n)],
        [i % 9 for i in range(n)],
        [1 + (7 * i) % 13 for i in range(n)],
        name="pressed",
    )
    return compare(workload, ("vllm", "fcfs", "svf"), kv_tokens=40, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    return pressed()


@pytest.fixture(scope="session")
def in_seconds() -> Comparison:
    """The same under a clock whose rounds differ in length, with a pause in the middle."""
    times = [0.01 * (i // 2) + (5.0 if i >= 30 else 0.0) for i in range(60)]
    workload = Workload(
        arrival_s=times,
        prompt_tokens=[i % 9 for i in range(60)],
        output_tokens=[1 + (7 * i) % 13 for i in range(60)],
        name="paused",
    )
    return compare(workload, ("vllm", "svf"), kv_tokens=40, clock="linear:base=0.01,kv_token=1e-4")

"""The step log: what a step computes, and how long it took, in engines that schedule ahead and that do not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvolume import ParameterError
from kvolume.geometry import attention_pairs
from kvolume.study.steps import COLUMNS, read_steps
from kvolume.vllm import step_log
from kvolume.vllm.probe import DECODES, grid, medians


class Engine:
    """A scheduler of one decoding request, and a clock that only its calls move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.left = 0, 0
        self.requests = {"a": SimpleNamespace(num_computed_tokens=9, num_tokens=8, num_preemptions=0)}
        monkeypatch.setattr(step_log.time, "monotonic_ns", lambda: self.now)

    def schedule(self) -> Any:
        self.now += 1
        tokens = {"a": 1} if self.left else {}
        return SimpleNamespace(num_scheduled_tokens=tokens, total_num_scheduled_tokens=len(tokens))

    def update_from_output(self, step: Any, output: Any) -> None:
        self.now += 2
        self.left -= 1

    def has_unfinished_requests(self) -> bool:
        return self.left > 0


def test_a_step_lasts_from_the_end_of_the_one_before_unless_the_engine_was_idle(monkeypatch: pytest.MonkeyPatch):
    engine, rows = Engine(monkeypatch), []
    step_log.StepClock(engine, rows.append)
    for pause in (1000, 2000):
        engine.now += pause
        engine.left = 2
        for _ in range(2):
            step = engine.schedule()
            engine.now += 10  # the forward pass
            engine.update_from_output(step, None)
            engine.now += 5  # what happens between two steps
        engine.schedule()  # finds nothing to do
    assert [row["ns"] for row in rows] == [13, 18, 13, 18]
    assert rows[0] == {"running": 1, "kv_tokens": 9, "prefill_tokens": 0, "pairs": 0, "ns": 13}


def test_an_engine_that_schedules_ahead_is_timed_by_the_ends_of_its_steps(monkeypatch: pytest.MonkeyPatch):
    engine, rows = Engine(monkeypatch), []
    step_log.StepClock(engine, rows.append)
    engine.left = 3
    first, second = engine.schedule(), engine.schedule()
    engine.now += 10
    engine.update_from_output(first, None)  # at 14; it was scheduled at 0
    third = engine.schedule()
    for step in (second, third):
        engine.now += 20
        engine.update_from_output(step, None)
    assert [row["ns"] for row in rows] == [14, 23, 22]


def test_a_fault_ends_the_log_and_not_the_engine(
    monkeypatch: pytest.MonkeyPatch, plugin_log: pytest.LogCaptureFixture
):
    engine, rows = Engine(monkeypatch), []
    step_log.StepClock(engine, rows.append)
    engine.left = 3
    engine.requests.clear()
    for _ in range(2):
        engine.update_from_output(engine.schedule(), None)
    assert rows == []
    assert set(plugin_log.messages) == {"kvolume: the step log ends here: KeyError: 'a'"}


def test_the_median_of_equal_steps_counts_as_often_as_they_were_seen():
    row = dict.fromkeys(COLUMNS, 1)
    steps = medians([row | {"ns": ns} for ns in (5, 900, 6)] + [row | {"running": 2, "ns": 8}], {})
    assert (steps.seconds * 1e9).round().tolist() == [6, 6, 6, 8]


def test_a_probe_asks_for_no_more_than_the_engine_holds():
    for seqs, budget, longest, kv in ((64, 1024, 2048, 16_384), (256, 8192, 40_960, 450_000), (1, 16, 20, 99)):
        cells = grid(seqs, budget, longest, kv)
        assert len(set(cells)) == len(cells) < 150
        assert all(b <= seqs and b * (s + DECODES) <= kv and s + DECODES <= longest for b, s in cells)
        assert {1, seqs} <= {b for b, _ in cells}
    with pytest.raises(ParameterError, match="needs room for 13 tokens"):
        grid(1, 16, 12, 99)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_real_scheduler_is_counted_step_by_step(harness: Any, tmp_path: Path, asynchronous: bool):
    from kvolume.vllm import Scheduler

    path = tmp_path / "steps.jsonl"
    settings = {"policy": "fcfs:admission=greedy", "step_log": str(path)}
    scheduler = harness.make(
        Scheduler, settings=settings, kv_blocks=40, block=16, token_budget=64, max_num_seqs=16,
        asynchronous=asynchronous,
    )  # fmt: skip
    jobs = [harness.Job(prompt=20 + 13 * k % 90, output=5 + 7 * k % 40) for k in range(20)]
    trace = harness.drive(scheduler, jobs, depth=1 + asynchronous)
    scheduler._kvolume.steps.file.close()
    log = read_steps(path)
    steps = [step for step in trace.schedule if step]
    assert trace.preemptions > 0
    assert log.counts[:, 0].tolist() == [len(step) for step in steps]
    _, held, prefill, pairs = log.counts.T
    assert (held >= prefill).all()
    assert (pairs[prefill == 0] == 0).all()
    if not asynchronous:  # every prompt once, and what was computed again
        assert prefill.sum() >= sum(job.prompt for job in jobs)
        first = log.counts[0]
        assert first[3] == sum(attention_pairs(0, tokens) for _, tokens in steps[0])
    header = json.loads(path.read_text().splitlines()[0])
    assert header["kv_tokens"] == 640
    assert "block_size=16,max_num_batched_tokens=64,max_num_seqs=16" in header["serving"]


def test_a_step_log_that_cannot_be_written_is_refused_at_the_start(harness: Any, tmp_path: Path):
    from kvolume.vllm import Scheduler

    with pytest.raises(ParameterError, match=r"The step_log '.*' cannot be written"):
        harness.make(Scheduler, settings={"step_log": str(tmp_path / "no" / "steps.jsonl")})

"""KV use and queue length over time are those that the stays imply, counted naively."""

from __future__ import annotations

import numpy as np
import pytest

from kvolume.engine import Result
from kvolume.report.series import kv_steps, kv_use, queue_length, queue_steps, stay_times
from kvolume.study.comparison import Comparison


def held(result: Result) -> list[int]:
    """KV tokens in each round, request by request."""
    stays = result.episodes
    out = [0] * int(stays.end.max())
    for request, begin, end, kept in zip(*(column.tolist() for column in stays), strict=True):
        for k in range(end - begin):
            out[begin + k] += int(result.workload.prompt_tokens[request]) + kept + k + 1
    return out


def test_kv_use_is_that_of_every_round(comparison: Comparison) -> None:
    for result in comparison.results:
        steps, naive = kv_steps(result), held(result)
        which = np.searchsorted(steps.at, np.arange(len(naive)), "right") - 1
        assert (steps.base[which] + steps.slope[which] * np.arange(len(naive))).tolist() == naive
        assert max(naive) <= result.kv_tokens
        assert sum(naive) == result.kv_token_ticks


@pytest.mark.parametrize("bins", [1, 7, 1000])
def test_a_bin_shows_its_largest_use(comparison: Comparison, bins: int) -> None:
    for result in comparison.results:
        naive, series = held(result), kv_use(result, bins)
        for low, high, value in zip(series.edges, series.edges[1:], series.values, strict=False):
            rounds = range(max(0, int(np.floor(low + 1e-9))), min(len(naive), int(np.ceil(high - 1e-9))))
            most = max((naive[r] for r in rounds), default=0)
            inner = max((naive[r] for r in rounds if r >= low), default=0)
            assert inner <= value <= most


def test_the_queue_is_who_has_arrived_and_does_not_run(comparison: Comparison) -> None:
    for result in comparison.results:
        times, length = queue_steps(result)
        begin, end = stay_times(result)
        for t, waiting in zip(times, length, strict=True):
            running = ((begin <= t) & (end > t)).sum()
            done = (result.finish <= t).sum()
            assert waiting == (result.arrival <= t).sum() - running - done
        assert length[-1] == 0
        assert queue_length(result, 50).values.max() == length.max()


def test_nothing_is_held_in_a_pause(in_seconds: Comparison) -> None:
    for result in in_seconds.results:
        series = kv_use(result, 600)
        middle = (series.edges[:-1] > 3) & (series.edges[1:] < 4.9)
        assert middle.any()
        assert not series.values[middle].any()
        assert series.values.max() <= result.kv_tokens
        assert queue_steps(result)[1].min() >= 0

"""Route: which branch, which limits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from tests.strategies import Small, instances

from kvolume import simulate
from kvolume.policy import Request
from kvolume.policy.route import LARGE, PROMPT_HEAVY, RESPONSE_HEAVY, Route


def test_branches_and_limits() -> None:
    """M = 100: prompts above 25 are large; a small one is prompt-heavy up to a limit of s, then response-heavy."""

    def seen(s: int) -> list[tuple[int, int]]:
        requests = [Request(0, 0, s, 1, 1, admissions=k) for k in range(8)]
        return [(Route().branch(r, 100), Route().limit(r, 100)) for r in requests]

    assert seen(30) == [(LARGE, min(2**k, 70)) for k in range(8)]
    assert seen(5) == [(PROMPT_HEAVY, x) for x in (1, 2, 4, 5)] + [(RESPONSE_HEAVY, x) for x in (16, 32, 64, 95)]
    assert seen(0)[0] == (RESPONSE_HEAVY, 1)


@given(instances(clocks=False))
def test_every_run_lasts_its_limit_except_the_last(small: Small) -> None:
    result = simulate(small.workload, "route", kv_tokens=small.kv_tokens)
    stays, w = result.episodes, small.workload
    for j in range(len(w)):
        ran = (stays.end - stays.begin)[stays.request == j]
        requests = [Request(j, 0, int(w.prompt_tokens[j]), 1, 1, admissions=k) for k in range(ran.size)]
        limits = np.array([Route().limit(r, small.kv_tokens) for r in requests])
        assert (ran[:-1] == limits[:-1]).all()
        assert ran[-1] == w.output_tokens[j] <= limits[-1]

"""The reference serving engine on instances small enough to follow by hand, and what it refuses."""

from __future__ import annotations

import pytest

from kvolume import ParameterError, UnknownNameError, Workload
from kvolume.clock import Clock
from kvolume.engine.instance import prepare
from kvolume.engine.serving import Server, Step
from kvolume.engine.serving_config import ServingConfig, parse_serving
from kvolume.policy import Plan, parse
from kvolume.workload import PrefixBlocks

CLOCK = Clock("test", base=100, prefill_token=1, tick_ns=1)


def serve(w: Workload, kv_tokens: int, policy: str = "vllm", **options: object) -> tuple[Server, list[Step]]:
    server = Server(prepare(w, parse(policy), kv_tokens, CLOCK, holding="engine"), ServingConfig(**options))
    return server, list(server.steps())


def test_a_prompt_is_prefilled_in_chunks_and_the_last_sampled_token_gets_no_slot() -> None:
    w = Workload(None, [10], [3], arrival_s=[0.0])
    server, steps = serve(w, 12, block_size=4, max_num_batched_tokens=4, max_num_seqs=1)
    assert [s.tokens for s in steps] == [{0: 4}, {0: 4}, {0: 2}, {0: 1}, {0: 1}]
    assert [s.free for s in steps] == [2, 1, 0, 0, 0]  # 12 tokens are enough for 10 + 3 - 1
    assert (server.first[0], server.finish[0]) == (310, 510)


def test_who_is_preempted_keeps_its_tokens_and_computes_them_again() -> None:
    w = Workload(None, [4, 4], [4, 4], arrival_s=[0.0, 0.0])
    server, steps = serve(w, 10, block_size=2, enable_prefix_caching=False)
    assert steps[0].tokens == {0: 4, 1: 4}
    assert steps[1].preempted == (1,)  # 5 blocks: the first needs its third, the second then finds none
    assert steps[1].tokens == {0: 1}
    assert server.evicted.tolist() == [0, 1]
    assert server.recomputed == 4
    again = next(s for s in steps[2:] if 1 in s.tokens)
    assert again.tokens[1] == 5  # the prompt and the token that it had made


def shared(prompts: list[int], outputs: list[int], arrival: list[float], ids: list[list[int]]) -> Workload:
    return Workload(None, prompts, outputs, arrival_s=arrival, prefix=PrefixBlocks.of(ids, 4))


def test_a_common_beginning_is_computed_once_and_held_once() -> None:
    w = shared([10, 10], [2, 2], [0.0, 0.0], [[1, 2, 3], [1, 2, 4]])
    server, steps = serve(w, 40, block_size=4)
    assert steps[0].tokens == {0: 10, 1: 2}  # found in the step in which the first computes it
    assert steps[0].free == 10 - 4
    assert server.cached == 8


def test_the_block_of_the_last_token_is_never_found() -> None:
    w = shared([8, 8], [1, 1], [0.0, 500e-9], [[1, 2], [1, 2]])
    _, steps = serve(w, 40, block_size=4)
    assert [s.tokens for s in steps] == [{0: 8}, {1: 4}]


def test_blocks_that_nobody_holds_are_lost_from_the_end_of_the_oldest_request() -> None:
    ids = [[1, 2, 3], [5, 6, 7], [1, 2, 3]]
    w = shared([12, 12, 12], [1, 1, 1], [0.0, 500e-9, 1000e-9], ids)
    server, _ = serve(w, 20, block_size=4)  # five blocks: the second takes the two that are new and one of the first
    assert server.cached == 8
    server, _ = serve(w, 16, block_size=4)  # now it takes two of the first's
    assert server.cached == 4


def test_who_was_preempted_finds_its_own_blocks_again() -> None:
    w = Workload(None, [4, 4], [4, 4], arrival_s=[0.0, 0.0])
    caching, _ = serve(w, 10, block_size=2)
    without, _ = serve(w, 10, block_size=2, enable_prefix_caching=False)
    assert caching.cached > 0
    assert caching.recomputed < without.recomputed == 4


def test_drafts_take_slots_and_tokens_whether_accepted_or_not() -> None:
    w = Workload(None, [4], [5], arrival_s=[0.0])
    _, steps = serve(w, 40, block_size=1, num_speculative_tokens=2, num_lookahead_tokens=2, acceptance_rate=0)
    assert [s.tokens for s in steps] == [{0: 4}] + 4 * [{0: 3}]
    assert [s.free for s in steps] == [34, 31, 30, 29, 28]
    _, steps = serve(w, 40, block_size=1, num_speculative_tokens=2, acceptance_rate=1)
    assert [s.tokens for s in steps] == [{0: 4}, {0: 3}, {0: 3}]


def test_nobody_is_admitted_in_a_step_that_preempts() -> None:
    w = Workload(None, [4, 4, 1], [4, 4, 1], arrival_s=[0.0, 0.0, 105e-9])
    _, steps = serve(w, 10, block_size=2)
    assert steps[1].preempted == (1,)
    assert 2 not in steps[1].tokens
    assert steps[1].free > 0


def test_the_watermark_binds_only_while_something_runs() -> None:
    w = Workload(None, [8, 8], [1, 1], arrival_s=[0.0, 0.0])
    _, steps = serve(w, 16, block_size=1, watermark=0.1)
    assert [s.tokens for s in steps] == [{0: 8}, {1: 8}]


def test_a_long_prefill_is_capped_while_there_are_others() -> None:
    w = Workload(None, [9, 2], [1, 3], arrival_s=[0.0, 0.0])
    _, steps = serve(w, 100, block_size=1, long_prefill_token_threshold=4)
    assert [s.tokens for s in steps] == [{0: 4, 1: 2}, {0: 4, 1: 1}, {0: 1, 1: 1}]
    _, alone = serve(Workload(None, [9], [1], arrival_s=[0.0]), 100, long_prefill_token_threshold=4)
    assert alone[0].tokens == {0: 9}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 0}, "block_size"),
        ({"watermark": 1.0}, "below 1"),
        ({"max_num_batched_tokens": 8, "max_num_seqs": 9}, "must be >= max_num_seqs = 9"),
        ({"long_prefill_token_threshold": -1}, "long_prefill_token_threshold"),
        ({"acceptance_rate": 1.5}, "acceptance_rate"),
        ({"num_lookahead_tokens": 3}, "needs num_speculative_tokens > 0"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ServingConfig(**options)


def test_options_are_read_from_text() -> None:
    assert parse_serving("") == ServingConfig()
    given = parse_serving("max_num_seqs=8, watermark=0.01, enable_chunked_prefill=0")
    assert given == ServingConfig(max_num_seqs=8, watermark=0.01, enable_chunked_prefill=False)
    with pytest.raises(UnknownNameError, match="Did you mean 'max_num_seqs'"):
        parse_serving("max_num_seq=8")
    with pytest.raises(ParameterError, match="key=value"):
        parse_serving("watermark")


@pytest.mark.parametrize("policy", ["vllm:keep=0", "vllm:evict=all", "alpha-protection"])
def test_policies_that_vllm_cannot_carry_are_refused_by_name(policy: str) -> None:
    with pytest.raises(ParameterError, match=f"cannot run policy '{policy}'"):
        serve(Workload(None, [1], [1], arrival_s=[0.0]), 10, policy)


def test_a_policy_that_plans_by_itself_is_refused() -> None:
    class Lazy:
        name = "lazy"

        def plan(self, state: object) -> Plan:
            return Plan()

    with pytest.raises(ParameterError, match="cannot run policy 'lazy', which plans by itself"):
        Server(prepare(Workload([0], [1], [1]), Lazy(), 10, CLOCK, holding="engine"), ServingConfig())

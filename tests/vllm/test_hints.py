from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvolume
from kvolume.vllm import hints, priority
from tests.vllm.fakes import fake, pops, queue

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
EXTRA = ANYTHING | st.fixed_dictionaries(
    {}, optional={"predicted_output_len": ANYTHING, "output_class": ANYTHING, "client": ANYTHING}
)


@given(st.lists(EXTRA, min_size=1, max_size=8))
def test_no_hint_whatever_it_is_raises_or_loses_a_request(extras: list[object]):
    q, _ = queue()
    for i, extra in enumerate(extras):
        q.add_request(fake(i, hint=extra))
    for ticket in list(q.book.tickets.values()):
        assert 1 <= ticket.told <= ticket.most
    assert sorted(pops(q), key=int) == [str(i) for i in range(len(extras))]
    assert set(q.book.guard.faults) <= {"hint"}


@pytest.mark.parametrize(
    ("value", "length"), [(12, 12), (12.7, 12.7), ("12", 12), (" 12.5 ", 12.5), (10**400, None), ("nan", None),
                          (-3, None), (0, None), (True, None), ([12], None), ("1e999", None), ({"a": 1}, None)],
)  # fmt: skip
def test_a_length_is_a_positive_number_or_numeric_text(value: object, length: float | None):
    hint = hints.read(fake(0, hint={"predicted_output_len": value}))
    assert hint.length == length
    assert hint.bad == (length is None)


def test_the_client_is_adapter_and_name_session_or_salt():
    assert hints.client_of(fake(0)) == ""
    assert hints.client_of(fake(0, hint={"client": "a"})) == "/a"
    named = fake(0)
    named.lora_request, named.session_id = SimpleNamespace(lora_name="sql"), "s1"
    assert hints.client_of(named) == "sql/s1"


def test_priority_is_the_volume_in_vllm():
    assert priority(100, 10) == sum(100 + u - 1 for u in range(1, 11))
    assert isinstance(priority(10, 2.6), int)
    assert priority(10, 2.6) == priority(10, 3)
    assert priority(10**12, 10**12) == 2**63 - 1
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(kvolume.ParameterError, match="predicted_output"):
            priority(1, bad)
    with pytest.raises(kvolume.ParameterError, match="prompt_tokens"):
        priority(-1, 1)

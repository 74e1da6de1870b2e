"""What a client says of a request: `vllm_xargs` of the OpenAI server, `SamplingParams(extra_args=...)` offline.

    {"predicted_output_len": 123}    how many tokens the answer will have, about
    {"output_class": "short"}        short or long
    {"client": "batch-7"}            whose request it is: lengths are learned, and trust is kept, by client

Clients are not trusted: whatever they send, nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

LENGTH, CLASS, CLIENT = "predicted_output_len", "output_class", "client"
LONGEST_KEY = 128  # characters of a client's key that count


class Hint(NamedTuple):
    """What a request says of itself; `bad` where it says something that cannot be used."""

    length: float | None = None
    cls: str | None = None  # short or long
    bad: bool = False


NONE = Hint()


def _extra(request: Any) -> Mapping[Any, Any]:
    params = getattr(request, "sampling_params", None)
    extra = getattr(params, "extra_args", None)
    return extra if isinstance(extra, Mapping) else {}


def read(request: Any) -> Hint:
    """The hint of a request, or none. A number or numeric text is a length; it is clipped by who uses it."""
    extra = _extra(request)
    if not extra:
        return NONE
    bad = False
    if LENGTH in extra:
        value = extra[LENGTH]
        if isinstance(value, int | float | str) and not isinstance(value, bool) and len(str(value)[:32]) < 32:
            try:
                length = float(value)
            except (ValueError, OverflowError):
                length = 0.0
            if 0 < length < float("inf"):
                return Hint(length)
        bad = True
    if CLASS in extra:
        value = extra[CLASS]
        cls = value.strip().lower() if isinstance(value, str) and len(value) < 32 else None
        if cls in ("short", "long"):
            return Hint(None, cls, bad)
        bad = True
    return Hint(None, None, bad)


def client_of(request: Any) -> str:
    """Whose request it is: adapter and client (or session, or cache salt); empty where nothing is known."""
    lora = getattr(getattr(request, "lora_request", None), "lora_name", None)
    who = _extra(request).get(CLIENT)
    if not isinstance(who, str | int):
        who = getattr(request, "session_id", None) or getattr(request, "cache_salt", None)
    if lora is None and who is None:
        return ""
    return f"{str(lora or '')[:LONGEST_KEY]}/{str(who if who is not None else '')[:LONGEST_KEY]}"

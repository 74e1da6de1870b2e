"""kvolume inside a stock vLLM server: the simulator's policies, without a fork and without a patch.

    vllm serve MODEL --scheduler-cls kvolume.vllm.Scheduler

Without the plug-in, a client or gateway can use the server's own `--scheduling-policy priority`:

>>> from kvolume.vllm import priority
>>> priority(prompt_tokens=512, predicted_output=64)
34784

Importing this needs no vLLM; `Scheduler` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvolume.errors import ParameterError
from kvolume.geometry import volume
from kvolume.vllm.settings import DEFAULT_POLICY, Settings

if TYPE_CHECKING:
    from kvolume.vllm.scheduler import Scheduler

__all__ = ["DEFAULT_POLICY", "Scheduler", "Settings", "priority"]

LARGEST = 2**63 - 1  # vLLM's field is a 64-bit integer


def priority(prompt_tokens: int, predicted_output: float) -> int:
    """Smallest volume first as a vLLM priority: smaller numbers go first.

    It is the KV volume in token-steps that the request takes in vLLM, s*o + o(o-1)/2 for s prompt and o output
    tokens (SVF, arXiv 2606.22327; the last token gets no slot). Send it as the field `priority` of the body or as
    the header X-Vllm-Priority to a server that runs with --scheduling-policy priority.

    Raises ParameterError for a negative prompt, or a prediction that is not a positive number.
    """
    s, o = int(prompt_tokens), float(predicted_output)
    if s < 0:
        raise ParameterError(f"The 'prompt_tokens' of a priority must be >= 0. Got {prompt_tokens!r} instead.")
    if not 0 < o < float("inf"):
        raise ParameterError(f"The 'predicted_output' of a priority must be > 0 and finite. Got {predicted_output!r}.")
    return min(int(volume(s, max(1, round(o)), "engine")), LARGEST)


def __getattr__(name: str) -> Any:
    """`Scheduler` brings vLLM; everything else does not."""
    if name == "Scheduler":
        from kvolume.vllm.scheduler import Scheduler

        return Scheduler
    raise AttributeError(f"module 'kvolume.vllm' has no attribute '{name}'")

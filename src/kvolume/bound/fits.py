"""Does every request fit? Checked once, before any bound."""

from __future__ import annotations

import numpy as np

from kvolume.engine.instance import check_kv_tokens
from kvolume.errors import InputError
from kvolume.geometry import peak
from kvolume.workload import Workload


def check_fits(workload: Workload, kv_tokens: int, *, engine: bool = False) -> None:
    """Raise InputError for a request that can never fit, ParameterError for a bad budget."""
    check_kv_tokens(kv_tokens)
    peaks = peak(workload.prompt_tokens, workload.output_tokens, "engine" if engine else "unit")
    if (peaks > kv_tokens).any():
        row = int(np.argmax(peaks > kv_tokens))
        raise InputError(
            f"Request {row + 1} of '{workload.name}' holds up to {peaks[row]} KV tokens "
            f"and can never fit into {kv_tokens}."
        )

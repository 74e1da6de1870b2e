"""The seconds of an iteration from a model's size and a GPU's published numbers, and the KV tokens that fit.

An iteration reads all weights and the KV of its batch once (bandwidth) and computes two operations for each active
parameter and token (FLOPs), one after the other: so it is linear, and on the safe side of the roofline's maximum by
at most a factor of two. Attention of a prefill computes four operations for each pair of tokens, query head and
dimension of a head, in each layer. Communication between GPUs and sampling are left out; `overhead` stands for what
happens between iterations. A mixture of experts reads all experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kvolume.errors import ParameterError, unknown_name
from kvolume.text import check_keys, number

BYTES = 2  # per weight and per KV entry: 16-bit floats
RESERVE = 2e9  # bytes of each GPU for activations and graphs; vLLM measures them
BLOCK = 16
MOST_KV_TOKENS = 1_000_000_000


class Model(NamedTuple):
    """From the model's own config.json and its card."""

    parameters: float
    active: float  # parameters that a token is multiplied with
    layers: int
    kv_heads: int
    heads: int = 32  # of queries
    head: int = 128

    @property
    def kv_bytes(self) -> int:
        """Of one token: keys and values of all layers."""
        return 2 * self.layers * self.kv_heads * self.head * BYTES

    @property
    def pair_operations(self) -> int:
        """Of attention, for one pair of tokens: a product with the key and one with the value, in all layers."""
        return 4 * self.layers * self.heads * self.head


class Gpu(NamedTuple):
    """From the maker's data sheet: dense 16-bit floating point; memory as the driver shows it."""

    flops: float  # per second
    bandwidth: float  # bytes per second
    memory: float  # bytes


MODELS = {
    "llama-3.1-8b": Model(8.03e9, 8.03e9, 32, 8),
    "llama-3.1-70b": Model(70.55e9, 70.55e9, 80, 8, 64),
    "llama-2-7b": Model(6.74e9, 6.74e9, 32, 32),
    "llama-2-70b": Model(68.98e9, 68.98e9, 80, 8, 64),
    "qwen3-8b": Model(8.19e9, 8.19e9, 36, 8),
    "qwen3-32b": Model(32.76e9, 32.76e9, 64, 8, 64),
    "qwen3-30b-a3b": Model(30.53e9, 3.34e9, 48, 4),
}
MIB = 1 << 20
GPUS = {
    "a100": Gpu(312e12, 2.039e12, 81_920 * MIB),  # SXM, 80 GB
    "h100": Gpu(989e12, 3.35e12, 81_559 * MIB),  # SXM
    "h200": Gpu(989e12, 4.8e12, 143_771 * MIB),
    "b200": Gpu(2250e12, 8.0e12, 183_359 * MIB),
    "l40s": Gpu(362e12, 0.864e12, 46_068 * MIB),
}
# shares of the published numbers that real kernels reach, seconds between iterations, vLLM's memory share
DEFAULTS = {"mfu": 0.6, "mbu": 0.8, "overhead": 1e-3, "utilisation": 0.9}
KEYS = ("model", "gpu", "tp", *DEFAULTS)


class Roofline(NamedTuple):
    """Seconds, and the KV tokens that fit into the memory that the weights leave."""

    base: float
    request: float
    kv_token: float
    prefill_token: float
    prefill_pair: float
    kv_tokens: int


def roofline(values: Mapping[str, str]) -> Roofline:
    """The costs that `model=..,gpu=..[,tp=..,mfu=..,mbu=..,overhead=..,utilisation=..]` names.

    Raises UnknownNameError with the nearest model or GPU, ParameterError where the weights do not fit.
    """
    what = "clock roofline"
    check_keys(values, set(KEYS), what)
    for key in ("model", "gpu"):
        if key not in values:
            raise ParameterError(f"The {what} needs a {key}: roofline:model=llama-3.1-8b,gpu=h100.")
    model_name, gpu_name = values["model"].lower(), values["gpu"].lower()
    if model_name not in MODELS:
        raise unknown_name("model", model_name, MODELS)
    if gpu_name not in GPUS:
        raise unknown_name("GPU", gpu_name, GPUS)
    model, gpu = MODELS[model_name], GPUS[gpu_name]
    tp = number(values.get("tp", 1), "tp", what, low=1, high=64, integer=True)
    share = {
        k: number(values.get(k, v), k, what, low=0, high=1, open_low=k != "overhead") for k, v in DEFAULTS.items()
    }
    room = tp * (share["utilisation"] * gpu.memory - RESERVE) - model.parameters * BYTES
    kv_tokens = min(int(room / model.kv_bytes) // BLOCK * BLOCK, MOST_KV_TOKENS)
    if kv_tokens < BLOCK:
        raise ParameterError(
            f"The weights of {model_name} ({model.parameters * BYTES / 1e9:.0f} GB) leave no room for KV tokens on "
            f"tp={tp:g} x {gpu_name} ({tp * share['utilisation'] * gpu.memory / 1e9:.0f} GB): raise tp."
        )
    flops, bandwidth = gpu.flops * share["mfu"] * tp, gpu.bandwidth * share["mbu"] * tp
    token = 2 * model.active / flops
    base = share["overhead"] + model.parameters * BYTES / bandwidth
    return Roofline(base, token, model.kv_bytes / bandwidth, token, model.pair_operations / flops, kv_tokens)

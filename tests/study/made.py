"""Results of `vllm bench serve` and step logs as a server would give them whose every step takes what a clock says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from kvolume import Workload
from kvolume.clock import Clock
from kvolume.engine.instance import prepare
from kvolume.engine.serving import Server
from kvolume.engine.serving_config import parse_serving
from kvolume.geometry import attention_pairs
from kvolume.policy import Running, parse

KV_TOKENS = 8192
SERVING = "block_size=16,max_num_batched_tokens=512,max_num_seqs=32"
CLOCK = Clock("made", base=2_000_000, request=50_000, kv_token=60, prefill_token=20_000, prefill_pair=9_000, tick_ns=1)


class Recorder(Server):
    """The specification of the serving engine, keeping when each token came and what each step computed."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.times: list[list[int]] = [[] for _ in range(len(self.i))]
        self.rows: list[dict[str, int]] = []

    def sample(self, r: Running) -> None:
        self.times[r.request.id].append(self.tick)
        super().sample(r)

    def advance(self, scheduled: dict[int, int]) -> None:
        begin = self.tick
        prefills = [j for j, n in scheduled.items() if self.computed[j] - n < self.prefill[j]]
        row = {
            "running": len(scheduled), "kv_tokens": sum(self.computed[j] for j in scheduled),
            "prefill_tokens": sum(scheduled[j] for j in prefills),
            "pairs": sum(attention_pairs(self.computed[j] - scheduled[j], self.computed[j]) for j in prefills),
        }  # fmt: skip
        super().advance(scheduled)
        if scheduled:
            self.rows.append(row | {"ns": self.tick - begin})


def run(rate: float, n: int = 60, seed: int = 0) -> Recorder:
    """Requests of 1 to 400 prompt and 1 to 80 output tokens at so many per second."""
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.exponential(1 / rate, n))
    w = Workload(None, rng.integers(1, 400, n), rng.integers(1, 80, n), arrival_s=np.round(start - start[0], 6))
    server = Recorder(prepare(w, parse("vllm"), KV_TOKENS, CLOCK, holding="engine"), parse_serving(SERVING))
    for _ in server.steps():
        pass
    return server


def bench(server: Recorder, **more: Any) -> dict[str, Any]:
    """The result as `--save-detailed` has it; clients' clocks start anywhere."""
    seconds = [np.array(times) / 1e9 for times in server.times]
    start = server.i.arrival / 1e9
    return {
        "date": "20260101-000000", "model_id": "made", "request_rate": 9.0, "burstiness": 1.0, "max_concurrency": None,
        "completed": len(seconds), "failed": 0, "input_lens": server.i.prompt.tolist(),
        "output_lens": server.i.output.tolist(), "start_times": (start + 777.0).tolist(),
        "ttfts": [float(t[0] - a) for t, a in zip(seconds, start, strict=True)],
        "itls": [np.diff(t).tolist() for t in seconds], "errors": [""] * len(seconds),
    } | more  # fmt: skip


def save(path: Path, result: dict[str, Any]) -> str:
    """Into a file; its path."""
    path.write_text(json.dumps(result))
    return str(path)


def step_log(path: Path, server: Recorder) -> str:
    """The plug-in's step log of the run."""
    header = {"kvolume": "step log", "vllm": "0.0", "model": "made", "date": "2026-01-01", "kv_tokens": KV_TOKENS,
              "serving": SERVING}  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in [header, *server.rows]))
    return str(path)

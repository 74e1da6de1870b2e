"""Run by test_engine.py in a process of its own: a real vLLM engine on the CPU, a tiny Llama with dummy weights.

    python -m tests.vllm.engine_run FOLDER burst|poisson POLICY...      (`stock`: vLLM's own scheduler)

Prints one JSON line per policy: texts (hash), admission order, steps to each finish, preemptions.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

ENV = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_PLUGINS": "", "DO_NOT_TRACK": "1",
}  # fmt: skip


def jobs(n: int = 32) -> list[tuple[int, int]]:
    rng = random.Random(0)
    return [(rng.randint(4, 120), rng.choice([8, 16, 32, 64, 128, 200])) for _ in range(n)]


def run(model: str, arrivals: list[int], policy: str) -> dict[str, Any]:
    from vllm import LLM, SamplingParams

    more: dict[str, Any] = {}
    if policy != "stock":
        more = {"scheduler_cls": "kvolume.vllm.Scheduler", "additional_config": {"kvolume": {"policy": policy}}}
    llm = LLM(
        model=model, skip_tokenizer_init=True, load_format="dummy", dtype="float32", max_model_len=512, seed=0,
        enforce_eager=True, block_size=32, num_gpu_blocks_override=20, enable_prefix_caching=False, max_num_seqs=64,
        max_num_batched_tokens=512, disable_log_stats=True, **more,
    )  # fmt: skip
    engine = llm.llm_engine
    scheduler = engine.engine_core.engine_core.scheduler
    admitted: list[str] = []
    finish: dict[str, int] = {}
    texts: dict[str, list[int]] = {}
    todo = list(enumerate(jobs()))
    preempted, step, known = 0, 0, {}
    while todo or engine.has_unfinished_requests():
        while todo and arrivals[todo[0][0]] <= step:
            i, (s, o) = todo.pop(0)
            params = SamplingParams(max_tokens=o, ignore_eos=True, temperature=0.0, detokenize=False,
                                    extra_args={"predicted_output_len": o})  # fmt: skip
            engine.add_request(str(i), {"prompt_token_ids": [(i * 31 + k) % 250 + 3 for k in range(s)]}, params)
        known.update(scheduler.requests)
        outputs = engine.step()
        step += 1
        for r in scheduler.running:
            name = r.request_id.split("-")[0]
            if name not in admitted:
                admitted.append(name)
        for out in outputs:
            if out.finished:
                finish[out.request_id] = step
                texts[out.request_id] = list(out.outputs[0].token_ids)
    preempted = sum(r.num_preemptions for r in known.values())
    text = json.dumps([texts[str(i)] for i in range(len(texts))])
    faults = dict(scheduler._kvolume.guard.faults) if policy != "stock" else {}
    del llm, engine
    return {"policy": policy, "texts": hashlib.sha256(text.encode()).hexdigest()[:16], "admitted": admitted,
            "mean": sum(finish.values()) / len(finish), "finished": len(finish), "preemptions": preempted,
            "lengths": [len(texts[str(i)]) for i in range(len(texts))], "faults": faults}  # fmt: skip


def main() -> None:
    from kvolume.vllm.tiny import write

    folder, arrival, *policies = sys.argv[1:]
    model = str(write(Path(folder)))
    rng = random.Random(7)
    gaps, now = [], 0.0
    for _ in jobs():
        now += rng.expovariate(1 / 6) if arrival == "poisson" else 0.0
        gaps.append(int(now))
    for policy in policies:
        print("RESULT " + json.dumps(run(model, gaps, policy)), flush=True)


if __name__ == "__main__":
    os.environ.update(ENV)
    main()

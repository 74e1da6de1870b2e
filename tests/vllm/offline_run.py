"""Run by test_offline.py in a process of its own: `LLM(...)` with its engine in another process, as users run it.

    python -m tests.vllm.offline_run FOLDER stock|POLICY [OPTION=VALUE...]      (options of LLM)

Prints one JSON line: the texts of several kinds of requests that wait for each other, and the plug-in's counters.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ENV = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_PLUGINS": "", "DO_NOT_TRACK": "1",
}  # fmt: skip
KINDS = ("plain", "several", "choice", "regex", "aborted", "after")


def engine(model: str, policy: str, options: dict[str, Any]) -> Any:
    from vllm import LLM

    if policy != "stock":
        options |= {"scheduler_cls": "kvolume.vllm.Scheduler", "additional_config": {"kvolume": {"policy": policy}}}
    return LLM(
        model=model, load_format="dummy", dtype="float32", max_model_len=512, seed=0, enforce_eager=True, block_size=32,
        num_gpu_blocks_override=20, max_num_seqs=8, max_num_batched_tokens=512, disable_log_stats=True, **options,
    )  # fmt: skip


def run(llm: Any) -> dict[str, Any]:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    def hinted(most: int, **more: Any) -> Any:
        more = {"temperature": 0.0} | more
        return SamplingParams(max_tokens=most, extra_args={"predicted_output_len": most}, **more)

    prompts = ["once upon a time " * k for k in (5, 1, 4, 2, 6, 3)]
    requests = {
        "plain": [hinted(100 - 15 * k, ignore_eos=True) for k in range(6)],
        "several": [hinted(40, ignore_eos=True, n=3, temperature=1.0, seed=k) for k in range(6)],
        "choice": [hinted(16, structured_outputs=StructuredOutputsParams(choice=["yes", "no"]))] * 6,
        "regex": [hinted(24, structured_outputs=StructuredOutputsParams(regex="[ab]{3}-[0-9]{4}"))] * 6,
    }
    texts: dict[str, Any] = {}
    sent = [(kind, p, params) for kind, all_ in requests.items() for p, params in zip(prompts, all_, strict=True)]
    answers = llm.generate([p for _, p, _ in sent], [params for _, _, params in sent], use_tqdm=False)
    for (kind, _, _), answer in zip(sent, answers, strict=True):
        texts.setdefault(kind, []).append([list(c.token_ids) for c in answer.outputs])
        if kind in ("choice", "regex"):
            texts[kind][-1] = answer.outputs[0].text
    core = llm.llm_engine
    for k in range(12):
        core.add_request(f"aborted {k}", prompts[k % 6], hinted(300, ignore_eos=True))
    for _ in range(5):
        core.step()
    core.abort_request([f"aborted {k}" for k in range(12)])
    texts["aborted"] = 0
    while core.has_unfinished_requests():
        texts["aborted"] += sum(out.finished for out in core.step())
    texts["after"] = [list(a.outputs[0].token_ids) for a in llm.generate(prompts, hinted(20), use_tqdm=False)]
    return texts


def main() -> None:
    from kvolume.vllm.tiny import write

    folder, policy, *options = sys.argv[1:]
    given = {k: json.loads(v) for k, v in (option.split("=", 1) for option in options)}
    llm = engine(str(write(Path(folder))), policy, given)
    print("RESULT " + json.dumps(run(llm)), flush=True)


if __name__ == "__main__":
    os.environ.update(ENV)
    main()

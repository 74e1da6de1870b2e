"""Measure the steps of the vLLM that is installed here: its own engine in this process, on a grid of batches.

Each cell of the grid prefills some prompts of one length and decodes a few tokens of each, so that the batch, the KV
tokens and the chunks of prompts all vary. Cells run in a random order, several times, after one that is not counted;
of the steps that compute the same, the median counts, so that a busy machine disturbs less.
"""

from __future__ import annotations

import os
import random
import shlex
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from statistics import median
from typing import Any

from kvolume.errors import MissingExtraError, ParameterError
from kvolume.study.fit import Fit, fit
from kvolume.study.steps import COLUMNS, Steps, from_rows
from kvolume.vllm.step_log import Row, StepClock, header

Progress = Callable[[str, int, int], None]

DECODES = 12  # tokens of each request
REPEATS = 5
MOST_PREFILL = 8  # full steps of prompt tokens in a cell
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}


def probe(model: str, arguments: Sequence[str] = (), progress: Progress | None = None, seed: int = 0) -> Steps:
    """Steps of `model` under the arguments of `vllm serve`. No prompt is found in the prefix cache, which is off.

    Raises MissingExtraError without vLLM, ParameterError for arguments that vLLM refuses.
    """
    if find_spec("vllm") is None:
        raise MissingExtraError("kvolume fit clock --probe needs vLLM, which is not installed here.")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    engine = _engine(model, arguments)
    scheduler = engine.engine_core.engine_core.scheduler
    known = header(scheduler)
    rows: list[Row] = []
    clock = StepClock(scheduler, rows.append)
    config = scheduler.vllm_config
    cells = grid(
        int(config.scheduler_config.max_num_seqs), int(config.scheduler_config.max_num_batched_tokens),
        int(config.model_config.max_model_len), int(known["kv_tokens"]),
    ) * REPEATS  # fmt: skip
    rng = random.Random(seed)
    rng.shuffle(cells)
    vocabulary = int(config.model_config.get_vocab_size())
    for done, (batch, prompt) in enumerate([cells[0], *cells]):
        if done == 1:
            rows.clear()
        _run(engine, f"probe-{done}", [_tokens(rng, prompt, vocabulary) for _ in range(batch)])
        if progress is not None:
            progress("probe", done, len(cells))
    if not clock.works:
        raise ParameterError("The steps of this vLLM cannot be read: see the warning above.")
    return medians(rows, known)


def medians(rows: Sequence[Row], known: dict[str, Any]) -> Steps:
    """For each kind of step its median time, as often as it was seen."""
    kinds: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row in rows:
        kinds[tuple(row[key] for key in COLUMNS)].append(row["ns"])
    return from_rows(
        (dict(zip(COLUMNS, kind, strict=True)) | {"ns": median(times)} for kind, times in kinds.items() for _ in times),
        known,
    )


def grid(seqs: int, budget: int, longest: int, kv_tokens: int) -> list[tuple[int, int]]:
    """Batches and prompt lengths, in powers of two and four, that the engine has room for."""
    most = min(longest, kv_tokens) - DECODES
    if most < 1:
        raise ParameterError(f"A probe needs room for {DECODES + 1} tokens. The engine has {min(longest, kv_tokens)}.")
    prompts = sorted({*(4**k for k in range(1, 10) if 4**k < most), most})
    batches = sorted({*(2**k for k in range(20) if 2**k < seqs), seqs})
    return [
        (batch, prompt)
        for prompt in prompts
        for batch in batches
        if batch == 1 or (batch * (prompt + DECODES) <= kv_tokens and batch * prompt <= MOST_PREFILL * budget)
    ]


def _engine(model: str, arguments: Sequence[str]) -> Any:
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:  # before 0.12
        from vllm.utils import FlexibleArgumentParser

    parser = EngineArgs.add_cli_args(FlexibleArgumentParser(exit_on_error=False))
    try:
        given = parser.parse_args(["--model", model, "--no-enable-prefix-caching", *arguments])
    except (Exception, SystemExit) as error:
        raise ParameterError(f"vLLM does not understand '{' '.join(arguments)}': {error}.") from None
    try:
        return LLMEngine.from_engine_args(EngineArgs.from_cli_args(given))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ParameterError(f"vLLM cannot start with model '{model}': {reason}") from error


def _tokens(rng: random.Random, n: int, vocabulary: int) -> list[int]:
    return [rng.randrange(3, vocabulary) for _ in range(n)]


def _run(engine: Any, name: str, prompts: Sequence[list[int]]) -> None:
    from vllm import SamplingParams

    params = SamplingParams(max_tokens=DECODES, ignore_eos=True, temperature=0.0, detokenize=False)
    for k, prompt in enumerate(prompts):
        engine.add_request(f"{name}-{k}", {"prompt_token_ids": prompt}, params)
    while engine.has_unfinished_requests():
        engine.step()


def fit_probe(model: str | None, arguments: str, files: Sequence[object], progress: Progress | None = None) -> Fit:
    """The clock of a probe. Raises ParameterError without a model, or with files beside it."""
    if model is None:
        raise ParameterError("kvolume fit clock --probe needs --model, a folder or a name that vLLM knows.")
    if files:
        raise ParameterError("--probe measures anew and reads no files: leave one of the two out.")
    return fit([probe(model, shlex.split(arguments), progress)])

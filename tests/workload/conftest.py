"""Small valid logs in every format that the reader knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

BENCH = {
    "input_lens": [10, 20, 30],
    "output_lens": [3, 2, 4],
    "start_times": [100.5, 100.0, 101.0],
    "ttfts": [0.5, 0.25, 0.5],
    "itls": [[0.1, 0.1], [0.2], [0.1, 0.1, 0.1]],
    "errors": ["", "", ""],
}
LOGS = {
    "own": "arrival_s,input_length,output_length,predicted,lower,upper,client,finish_s\n"
    "0.0,10,3,4,1,9,a,1.5\n0.25,20,2,2,1,9,b,2.5\n1.5,30,4,5,2,9,a,9.5\n",
    "rounds": "arrival,prompt_tokens,output_tokens\n0,10,3\n1,20,2\n1,30,4\n",
    "azure2023": "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,10,3\r\n"
    "2023-11-16 18:17:04.2299600,20,2\r\n2023-11-16 18:17:05.4799600,30,4\r\n",
    "azure2024": "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00+00:00,10,3\n"
    "2024-05-10 00:00:00.250000+00:00,20,2\n2024-05-10 00:00:01.500000+00:00,30,4\n",
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,10,3,13,Conversation log\n5.25,GPT-4,20,2,22,API log\n6.5,ChatGPT,30,4,34,API log\n",
    "vidur": "arrived_at,num_prefill_tokens,num_decode_tokens\n7.0,10,3\n7.25,20,2\n8.5,30,4\n",
    "mooncake": '{"timestamp": 1000, "input_length": 10, "output_length": 3, "hash_ids": [0]}\n'
    '{"timestamp": 1250, "input_length": 20, "output_length": 2, "hash_ids": [0]}\n'
    '{"timestamp": 2500, "input_length": 30, "output_length": 4, "hash_ids": [1]}\n',
    "timed_trace": '{"timestamp": 1.0, "input_length": 10, "output_length": 3, "hash_ids": [0]}\n'
    '{"timestamp": 1.25, "input_length": 20, "output_length": 2, "hash_ids": [0, 1]}\n'
    '{"timestamp": 2.5, "input_length": 30, "output_length": 4, "hash_ids": [0, 2]}\n',
    "jsonl": '{"arrival_s": 0, "input_length": 10, "output_length": 3}\n'
    '{"arrival_s": 0.25, "input_length": 20, "output_length": 2}\n'
    '{"arrival_s": 1.5, "input_length": 30, "output_length": 4}\n',
    "list": '[{"arrival_s": 0, "input_length": 10, "output_length": 3},\n{"arrival_s": 0.25, "input_length": 20, '
    '"output_length": 2}, {"arrival_s": 1.5, "input_length": 30, "output_length": 4}]',
    "bench": json.dumps(BENCH, indent=1),
}


@pytest.fixture
def log(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Puts a text into a file whose name says nothing about its format."""

    def put(content: str | bytes) -> Path:
        file = tmp_path / "log.txt"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return put

"""A tiny Llama for trying things out: two layers, 259 byte-level tokens, dummy weights. No download.

    python -m kvolume.vllm.tiny FOLDER
    vllm serve FOLDER --load-format dummy ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 259, "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
}  # fmt: skip
TEMPLATE = "{% for m in messages %}{{m['content']}}{% endfor %}"


def _byte_alphabet() -> list[str]:
    """The 256 characters that byte-level tokenizers write bytes with."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return sorted([chr(b) for b in shown] + [chr(256 + k) for k in range(256 - len(shown))])


def write(folder: Path) -> Path:
    """Write config, tokenizer and chat template; no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: k for k, token in enumerate(["<unk>", "<s>", "</s>", *_byte_alphabet()])}
    special = [{"id": k, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for k, c in enumerate(("<unk>", "<s>", "</s>"))]  # fmt: skip
    tokenizer: dict[str, object] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                                            "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocab, "merges": []},
    }  # fmt: skip
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                "unk_token": "<unk>", "chat_template": TEMPLATE, "model_max_length": 4096}  # fmt: skip
    for name, content in (("config", CONFIG), ("tokenizer", tokenizer), ("tokenizer_config", settings)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))
    return folder


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))

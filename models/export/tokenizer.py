"""A byte-level tokenizer for packages with random weights: every text can be encoded, every id decoded."""

from __future__ import annotations

from typing import Any

ENDOFTEXT, END = "<|endoftext|>", "<|end|>"
IMAGE, AUDIO = "<|endoftext10|>", "<|endoftext11|>"
# the published model's ids
SPECIAL = {
    199999: ENDOFTEXT,
    200010: IMAGE,
    200011: AUDIO,
    200018: "<|endofprompt|>",
    200019: "<|assistant|>",
    200020: END,
    200021: "<|user|>",
    200022: "<|system|>",
    200023: "<|tool|>",
    200024: "<|/tool|>",
    200025: "<|tool_call|>",
    200026: "<|/tool_call|>",
    200027: "<|tool_response|>",
    200028: "<|tag|>",
}
_PRE_TOKENIZER = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_symbols() -> list[str]:
    """The printable characters that byte-level BPE writes for the bytes 0 to 255."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


def special_ids(vocab_size: int) -> dict[int, str]:
    """Special tokens by id: the published ones, or compact ids from 256 on in a small vocabulary.

    The two placeholders keep 200010 and 200011 everywhere, because genai counts on them.
    """
    if vocab_size > max(SPECIAL):
        return SPECIAL
    others = [token for token in SPECIAL.values() if token not in (IMAGE, AUDIO)]
    # 256 <|endoftext|>, 257 <|end|>; 258 and 259 stay free for the placeholders' ids inside the vocabulary
    ordered = [ENDOFTEXT, END, None, None, *(t for t in others if t not in (ENDOFTEXT, END))]
    compact = {256 + i: token for i, token in enumerate(ordered) if token is not None}
    return compact | {200010: IMAGE, 200011: AUDIO}


def byte_tokenizer(vocab_size: int) -> dict[str, Any]:
    """The content of a tokenizer.json without merges: one token a byte, and fillers up to ``vocab_size``."""
    special = special_ids(vocab_size)
    vocabulary = {symbol: i for i, symbol in enumerate(byte_symbols())}
    for i in range(256, vocab_size):
        if i not in special:
            vocabulary[f"\u0120w{i}"] = i
    flags = {"single_word": False, "lstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": t, **flags, "rstrip": t not in (ENDOFTEXT, IMAGE, AUDIO)}
            for i, t in sorted(special.items())
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": _PRE_TOKENIZER},
                    "behavior": "Removed",
                    "invert": True,
                },
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": False,
            "use_regex": True,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }


def tokenizer_config() -> dict[str, Any]:
    """The content of a tokenizer_config.json: what genai reads of it, and the chat template."""
    return {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "bos_token": ENDOFTEXT,
        "eos_token": ENDOFTEXT,
        "pad_token": ENDOFTEXT,
        "unk_token": ENDOFTEXT,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 128000,
        "chat_template": (
            "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and "
            "message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + "
            "'<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}"
            "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}"
            "{% else %}{{ eos_token }}{% endif %}"
        ),
    }

"""The shape of the nano model, and the configuration files of its package and its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as token_models

from models.config import Phi4MMConfig
from models.export import settings
from models.frontend import AUDIO_ID, IMAGE_ID

VOCABULARY: Final = 3072
SPECIAL: Final = (
    "<|endoftext|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|tool|>",
    "<|/tool|>",
    "<|tool_call|>",
    "<|/tool_call|>",
    "<|tool_response|>",
    "<|endofprompt|>",
    "<|tag|>",
)
FIRST_SPECIAL: Final = VOCABULARY - 16
IMAGE_TOKEN: Final = VOCABULARY - 2
"""What the checkpoint calls the picture placeholder; the package calls it 200010."""
AUDIO_TOKEN: Final = VOCABULARY - 1

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD, FFN = 4, 192, 6, 2, 32, 512
LORA_RANK, LORA_ALPHA = 32, 64
ADAPTED: Final = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
AUDIO_WIDTH, AUDIO_BLOCKS, AUDIO_HEADS, AUDIO_FFN = 160, 6, 4, 320
VISION_WIDTH, VISION_LAYERS, VISION_HEADS, VISION_FFN = 128, 3, 4, 384
ORIGINAL_CONTEXT, CONTEXT = 4096, 8192
DYNAMIC_HD: Final = 1
"""The most crops of a picture: every picture is scaled to fill one, as in training."""


def token_id(name: str) -> int:
    """The id of a special token in the checkpoint."""
    return FIRST_SPECIAL + SPECIAL.index(name)


def checkpoint_config() -> dict[str, Any]:
    """`config.json`: the arguments of transformers' Phi4MultimodalConfig."""
    half = int(HEAD * 0.75) // 2
    return {
        "architectures": ["Phi4MultimodalForCausalLM"],
        "model_type": "phi4_multimodal",
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.75,
            "short_factor": [1.0] * half,
            "long_factor": [1.0 + i / half for i in range(half)],
        },
        "bos_token_id": token_id("<|endoftext|>"),
        "pad_token_id": token_id("<|endoftext|>"),
        "eos_token_id": [token_id("<|end|>"), token_id("<|endoftext|>")],
        "audio_config": {
            "hidden_size": AUDIO_WIDTH,
            "intermediate_size": AUDIO_FFN,
            "num_blocks": AUDIO_BLOCKS,
            "num_attention_heads": AUDIO_HEADS,
            "ext_pw_out_channel": AUDIO_WIDTH,
            "depthwise_separable_out_channel": AUDIO_WIDTH,
            "nemo_conv_channels": 32,
            "bias_max_distance": 500,
            "audio_token_id": AUDIO_TOKEN,
        },
        "vision_config": {
            "hidden_size": VISION_WIDTH,
            "intermediate_size": VISION_FFN,
            "num_hidden_layers": VISION_LAYERS + 1,  # features come from the layer before the last
            "num_attention_heads": VISION_HEADS,
            "image_token_id": IMAGE_TOKEN,
        },
    }


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE over `texts`, filling the vocabulary up to the special tokens."""
    tokenizer = Tokenizer(token_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=FIRST_SPECIAL,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != FIRST_SPECIAL:
        raise ValueError(f"{tokenizer.get_vocab_size()} tokens instead of {FIRST_SPECIAL}: too few texts")
    return tokenizer


def write_front_end(directory: Path, texts: list[str]) -> None:
    """Writes what `FrontEnd` needs: genai_config.json, both processors and the tokenizer's files."""
    directory.mkdir(parents=True, exist_ok=True)
    tokens = {name: token_id(name) for name in SPECIAL}
    tokens |= {"<|endoftext10|>": IMAGE_ID, "<|endoftext11|>": AUDIO_ID}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer = json.loads(train_tokenizer(texts).to_str())
    tokenizer["added_tokens"] = [{"id": i, "content": name, **flags} for name, i in tokens.items()]
    _write(directory / "tokenizer.json", tokenizer)
    _write(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "GPT2Tokenizer",
            "add_prefix_space": False,
            "added_tokens_decoder": {str(i): {"content": name, **flags} for name, i in tokens.items()},
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": CONTEXT,
            "chat_template": _TEMPLATE,
        },
    )
    _write(directory / "config.json", checkpoint_config())
    config = Phi4MMConfig.read(directory)
    _write(directory / "genai_config.json", settings.genai_config(config))
    _write(directory / "vision_processor.json", settings.vision_processor(DYNAMIC_HD))
    _write(directory / "speech_processor.json", settings.speech_processor())


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'system' and message['tools'] %}"
    "{{ '<|tool|>' + message['tools'] + '<|/tool|>' }}{% endif %}{{ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

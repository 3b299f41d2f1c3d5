"""The embedding graph: token ids and encoder features to the language model's inputs.

Placeholders are replaced in order: the n-th picture token of the prompt takes the n-th row of
``image_features``, the n-th sound token that of ``audio_features``. genai marks them with 200010 and 200011;
a checkpoint with a smaller vocabulary has ids of its own, which work as well. Features and placeholders must
be equally many, else onnxruntime raises an error; when there are no features at all, ids are just tokens.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.checkpoint import Tensors
from models.config import AUDIO_TOKEN, IMAGE_TOKEN
from models.export.graph import MICROSOFT, GraphWriter, Stored
from models.export.quantize import FP32, Precision, in_blocks

NAME = "phi-4-mm-embedding"
TABLE = "model.embed_tokens.weight"


def write_embedding(checkpoint: Tensors, directory: Path, precision: Precision = FP32) -> Path:
    """Write ``phi-4-mm-embedding.onnx``: input_ids [1, S], features [n, hidden] to [1, S, hidden]."""
    config = checkpoint.config
    hidden = config.hidden_size
    with GraphWriter(NAME, directory, checkpoint) as g:
        ids = g.input("input_ids", np.int64, [1, "sequence_length"])
        image = g.input("image_features", np.float32, ["num_image_tokens", hidden])
        audio = g.input("audio_features", np.float32, ["num_audio_tokens", hidden])
        # ids outside the vocabulary (the placeholders of a small one) must not reach the Gather
        known = g.node("Clip", [ids, g.const(0), g.const(config.vocab_size - 1)])
        table = Stored(checkpoint, TABLE, (config.vocab_size, hidden))
        embeddings = _rows(g, known, table, precision)
        for features, tokens in (
            (image, (IMAGE_TOKEN, config.vision.image_token_id)),
            (audio, (AUDIO_TOKEN, config.audio.audio_token_id)),
        ):
            embeddings = _replace(g, embeddings, ids, features, tokens)
        g.output(embeddings, np.float32, [1, "sequence_length", hidden], "inputs_embeds")
        return g.save()


def _rows(g: GraphWriter, ids: str, table: Stored, precision: Precision) -> str:
    """Gather the rows of the embedding table, dequantised if it is stored in 4 or 8 bits."""
    if precision.format in ("int4", "int8", "dynamic8"):
        block_size = precision.block_for(table.shape[1])
        blocks = in_blocks(table, precision.bits, block_size)
        packed = blocks.packed.reshape(table.shape[0], -1)[:, : table.shape[1] * precision.bits // 8]
        return g.node(
            "GatherBlockQuantized",
            [
                g.weight(f"{TABLE}.packed", packed),
                ids,
                g.weight(f"{TABLE}.scales", blocks.scales),
                *([] if blocks.zeros is None else [g.weight(f"{TABLE}.zeros", blocks.zeros)]),
            ],
            domain=MICROSOFT,
            bits=precision.bits,
            block_size=block_size,
            gather_axis=0,
            quantize_axis=1,
        )
    if precision.format == "fp16":
        half = g.weight(f"{TABLE}.fp16", table[:].astype(np.float16))
        return g.node("Cast", [g.node("Gather", [half, ids], axis=0)], to=1)
    return g.node("Gather", [g.parameter(TABLE), ids], axis=0)


def _replace(g: GraphWriter, embeddings: str, ids: str, features: str, tokens: tuple[int, int]) -> str:
    """Put the rows of ``features`` where ``ids`` is one of ``tokens``; without such an id, change nothing."""
    found = g.node("Equal", [ids, g.const([tokens[0]])])
    if tokens[1] != tokens[0]:
        found = g.node("Or", [found, g.node("Equal", [ids, g.const([tokens[1]])])])
    places = g.node("Transpose", [g.node("NonZero", [found])], perm=[1, 0])  # [count, 2]
    # a model may write a placeholder itself: without any features it is a token like others
    present = g.node("Greater", [g.dim(features, 0), g.const([0])])
    count = g.node("Where", [present, g.dim(places, 0), g.const([0])])
    return g.node("ScatterND", [embeddings, g.slice(places, 0, count, 0), features])

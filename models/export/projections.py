"""Query, key and value of an encoder's self-attention from one matrix product."""

from __future__ import annotations

import numpy as np

from models.export.graph import GraphWriter
from models.export.quantize import Precision


def projected(g: GraphWriter, x: str, name: str, precision: Precision) -> list[str]:
    """Return query, key and value [batch, time, width] of ``x`` under ``<name>.{q,k,v}_proj``.

    The three matrices are stored as one: a quantised product then quantises ``x`` once.
    """
    parts = [f"{name}.{part}_proj" for part in "qkv"]
    matrix = np.concatenate([g.read(f"{part}.weight") for part in parts])
    bias = g.weight(f"{name}.qkv_proj.bias", np.concatenate([g.read(f"{part}.bias") for part in parts]))
    product = g.matmul(x, f"{name}.qkv_proj.weight", matrix, precision, bias)
    return g.nodes("Split", [product], 3, axis=-1, num_outputs=3)

"""The nano model as torch modules: transformers' own modules, run the way training needs them.

Weights live in `Phi4MultimodalForCausalLM`, so what is trained is what transformers loads. The forward passes
here differ from transformers' in four ways that change nothing else: clips of a padded batch are masked with
-inf (transformers adds the mask as 0 and 1), the LoRA adapters are plain parameters chosen by mode, a prefix
shared by a whole batch is computed once, and the two crops of a square picture are encoded once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 # torch's own name for it
from torch import Tensor, nn
from transformers import Phi4MultimodalConfig, Phi4MultimodalForCausalLM

from models.export.vision import position_buckets
from models.nano import shape

MASKED: Final = -1e9


def build(seed: int = 0) -> Any:
    """A new Phi4MultimodalForCausalLM of the nano shape with random weights."""
    torch.manual_seed(seed)
    config = Phi4MultimodalConfig(**shape.checkpoint_config())
    config._attn_implementation = "eager"
    model = Phi4MultimodalForCausalLM(config)
    for name, parameter in model.named_parameters():
        _initialise(name, parameter)
    with torch.no_grad():
        model.model.embed_tokens_extend.image_embed.img_processor.embeddings.position_embedding.weight.copy_(
            _waves(32, shape.VISION_WIDTH)
        )
    return model


def _waves(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column [side * side, width]: neighbours are alike from the first step."""
    rates = 30.0 ** -torch.linspace(0, 1, width // 4)
    angles = torch.arange(side)[:, None] * rates
    waves = torch.cat((angles.sin(), angles.cos()), -1)  # [side, width / 2]
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat((rows, columns), -1).reshape(side * side, width)


def _initialise(name: str, parameter: nn.Parameter) -> None:
    """Transformers starts from widths in the thousands; these widths want 1/sqrt(inputs)."""
    with torch.no_grad():
        if parameter.dim() < 2 or "bias_values" in name or name.endswith((".b1", ".b2")):
            if "norm" not in name:
                parameter.zero_()
        elif "embed" in name and parameter.dim() == 2 and ("tokens" in name or "position" in name):
            parameter.normal_(std=0.04)
        elif "extensor" in name:
            parameter.normal_(std=0.2)
        else:
            scale = 0.5 if name.endswith(("o_proj.weight", "down_proj.weight", "fc2.weight")) else 1.0
            if "encoders" in name and (scale < 1 or "conv.ext_pw" in name):
                scale = 0.2  # a new block passes on what the blocks below have learned
            if name.startswith("model.layers") and scale < 1:
                scale = 0.1  # at first the embeddings must stand out from what the layers add
            parameter.normal_(std=scale / math.sqrt(parameter[0].numel()))


class Lora(nn.Module):
    """One adapter: a pair of low-rank factors for each adapted projection of each layer."""

    scale: Final = shape.LORA_ALPHA / shape.LORA_RANK

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        for number, layer in enumerate(layers):
            for path in shape.ADAPTED:
                weight = layer.get_submodule(path).weight
                key = f"{number}.{path}".replace(".", "/")
                self.a[key] = nn.Parameter(
                    torch.randn(shape.LORA_RANK, weight.shape[1]) / math.sqrt(weight.shape[1])
                )
                self.b[key] = nn.Parameter(torch.zeros(weight.shape[0], shape.LORA_RANK))

    def forward(self, x: Tensor, layer: int, path: str) -> Tensor:
        """What the adapter adds to the projection `path` of `layer` for the input x [..., inputs]."""
        key = f"{layer}.{path}".replace(".", "/")
        return F.linear(F.linear(x, self.a[key]), self.b[key]) * self.scale


def decoder(model: Any) -> nn.ModuleList:
    """The base decoder: embeddings, layers, last norm."""
    return nn.ModuleList([model.model.embed_tokens, model.model.layers, model.model.norm])


def tower(model: Any) -> nn.ModuleList:
    """The part of the vision encoder that is used."""
    part = model.model.embed_tokens_extend.image_embed.img_processor
    return nn.ModuleList([part.embeddings, *part.encoder.layers[: shape.VISION_LAYERS]])


def speech_projector(model: Any, vision: bool) -> nn.ModuleList:
    """The projector of speech features, the vision one for prompts with a picture."""
    part = model.model.embed_tokens_extend.audio_embed
    if vision:
        return nn.ModuleList([part.up_proj_for_vision_speech, part.down_proj_for_vision_speech])
    return nn.ModuleList([part.up_proj_for_speech, part.down_proj_for_speech])


def picture_projector(model: Any) -> nn.ModuleDict:
    """The projector of picture features."""
    part = model.model.embed_tokens_extend.image_embed
    return nn.ModuleDict({"up": part.img_projection_up, "down": part.img_projection_down})


def separators(model: Any) -> nn.ParameterList:
    """The learned separators between rows and parts of a picture."""
    part = model.model.embed_tokens_extend.image_embed
    return nn.ParameterList([part.sub_img_feature_extensor, part.global_img_feature_extensor])


@dataclass
class Prefix:
    """Keys and values [batch or 1, kv heads, length, head] of each layer for a prefix that rows share."""

    caches: list[tuple[Tensor, Tensor]]
    length: int

    def row(self, number: int) -> Prefix:
        """The prefix of one row."""
        return Prefix([(k[number : number + 1], v[number : number + 1]) for k, v in self.caches], self.length)

    def repeat(self, rows: int) -> Prefix:
        """Each prefix `rows` times in a row, for several rows to a picture."""
        return Prefix(
            [(k.repeat_interleave(rows, 0), v.repeat_interleave(rows, 0)) for k, v in self.caches],
            self.length,
        )


def decode(
    model: Any, embeds: Tensor, lora: Lora | None = None, prefix: Prefix | None = None
) -> tuple[Tensor, Prefix]:
    """The decoder's last hidden states [batch, length, width] and the cache; rows are padded on the right."""
    inner = model.model
    past = prefix.length if prefix else 0
    batch, length = embeds.shape[:2]
    positions = torch.arange(past, past + length)[None]
    cos, sin = inner.rotary_emb(embeds, positions)
    cos, sin = cos[:, None], sin[:, None]
    mask = torch.ones(length, past + length, dtype=torch.bool).tril(past)
    caches: list[tuple[Tensor, Tensor]] = []
    x = embeds
    queries = shape.HEADS * shape.HEAD

    def project(module: nn.Linear, value: Tensor, layer: int, path: str) -> Tensor:
        out = F.linear(value, module.weight)
        return out if lora is None else out + lora(value, layer, path)

    def rotate(value: Tensor) -> Tensor:
        turned, kept = value[..., : cos.shape[-1]], value[..., cos.shape[-1] :]
        first, second = turned.chunk(2, -1)
        return torch.cat((turned * cos + torch.cat((-second, first), -1) * sin, kept), -1)

    for number, layer in enumerate(inner.layers):
        attention = layer.self_attn
        qkv = project(attention.qkv_proj, layer.input_layernorm(x), number, "self_attn.qkv_proj")
        q, k, v = torch.split(qkv, [queries, shape.KV_HEADS * shape.HEAD, shape.KV_HEADS * shape.HEAD], -1)
        q, k, v = (t.view(batch, length, -1, shape.HEAD).transpose(1, 2) for t in (q, k, v))
        q, k = rotate(q), rotate(k)
        if prefix:
            before_k, before_v = prefix.caches[number]
            k = torch.cat((before_k.expand(batch, -1, -1, -1), k), 2)
            v = torch.cat((before_v.expand(batch, -1, -1, -1), v), 2)
        caches.append((k, v))
        group = shape.HEADS // shape.KV_HEADS
        with torch.autocast("cpu", enabled=False):  # with a mask, bfloat16 is slower here
            mixed = F.scaled_dot_product_attention(
                q.float(), k.float().repeat_interleave(group, 1), v.float().repeat_interleave(group, 1), mask
            )
        mixed = mixed.transpose(1, 2).reshape(batch, length, queries)
        x = x + project(attention.o_proj, mixed, number, "self_attn.o_proj")
        gate, up = project(
            layer.mlp.gate_up_proj, layer.post_attention_layernorm(x), number, "mlp.gate_up_proj"
        ).chunk(2, -1)
        x = x + project(layer.mlp.down_proj, up * F.silu(gate), number, "mlp.down_proj")
    return inner.norm(x), Prefix(caches, past + length)


def hear(model: Any, frames: Tensor, lengths: Tensor, tap: int | None = None) -> tuple[Tensor, Tensor | None]:
    """The speech encoder: frames [batch, time, 80] to [batch, ceil(time / 8), width].

    `tap` asks for the output of that block as well.
    `lengths` int64 [batch] counts real frames; what stands behind them is not seen.
    """
    encoder = model.model.embed_tokens_extend.audio_embed.encoder
    x = encoder.encoder_embedding(frames)
    inside = torch.arange(x.shape[1])[None] < lengths[:, None]
    x = _subsample(encoder.embed, x * inside[..., None])
    tokens = -(-lengths // 8)
    mask = encoder.relative_attention_bias_layer(x) + torch.where(
        torch.arange(x.shape[1])[None] < tokens[:, None], 0.0, MASKED
    ).view(x.shape[0], 1, 1, -1)
    tapped = None
    for number, block in enumerate(encoder.encoders):
        x = x + 0.5 * block.feed_forward_in(x)
        x = x + block.self_attn(block.layer_norm_att(x), mask)
        x = x + _convolve(block.conv, x)
        x = block.layer_norm(x + 0.5 * block.feed_forward_out(x))
        if number + 1 == tap:
            tapped = x
    return x, tapped


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution, channels last: the sum of windows of x, each times its weights [channels]."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, windows: list[tuple[slice, ...]]
    ) -> Tensor:
        """x [batch, …, channels], weight [windows, channels]; each window is an index into x."""
        ctx.save_for_backward(x, weight)
        ctx.windows = windows
        out = x[windows[0]] * weight[0] + bias
        for window, factors in zip(windows[1:], weight[1:], strict=True):
            out.addcmul_(x[window], factors)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients for x, weight and bias."""
        x, weight = ctx.saved_tensors
        for_x, for_weight = torch.zeros_like(x), torch.empty_like(weight)
        for number, window in enumerate(ctx.windows):
            for_x[window].addcmul_(gradient, weight[number])
            for_weight[number] = (x[window] * gradient).flatten(0, -2).sum(0)
        return for_x, for_weight, gradient.flatten(0, -2).sum(0), None


def _depthwise(x: Tensor, weight: Tensor, bias: Tensor, windows: Sequence[tuple[slice, ...]]) -> Tensor:
    out: Tensor = _Depthwise.apply(x, weight, bias, windows)  # type: ignore[no-untyped-call] # torch's own
    return out


def _bordered(x: Tensor) -> Tensor:
    """x [batch, time, bands, channels] with a border of zeros (F.pad would write every element twice)."""
    b, t, f, c = x.shape
    side, row = x.new_zeros(b, t, 1, c), x.new_zeros(b, 1, f + 2, c)
    return torch.cat((row, torch.cat((side, x, side), 2), row), 1)


def _subsample(embed: Any, x: Tensor) -> Tensor:
    """The three convolutions of the subsampling, as products.

    Torch's backward pass of depthwise convolutions is slow on CPUs.
    x [batch, time, 80] to [batch, ceil(time / 8), width].
    """
    first, layers = embed.conv[0], list(embed.conv)[2:]
    patches = F.pad(x, (1, 1, 1, 1)).unfold(1, 3, 2).unfold(2, 3, 2).flatten(3)  # [batch, time / 2, 40, 9]
    x = F.relu(F.linear(patches, first.weight.flatten(1), first.bias))
    for depthwise, pointwise in zip(layers[0::3], layers[1::3], strict=True):
        x = _bordered(x)
        times, bands = (x.shape[1] - 1) // 2, (x.shape[2] - 1) // 2
        windows = [
            (slice(None), slice(i, i + 2 * times, 2), slice(j, j + 2 * bands, 2))
            for i in range(3)
            for j in range(3)
        ]
        mixed = _depthwise(x, depthwise.weight.flatten(1).T, depthwise.bias, windows)
        x = F.relu(F.linear(mixed, pointwise.weight[:, :, 0, 0], pointwise.bias))
    # transformers flattens channels before bands
    out: Tensor = embed.out(x.transpose(2, 3).flatten(2))
    return out


def _convolve(conv: Any, x: Tensor) -> Tensor:
    """A conformer block's convolution module on x [batch, time, width], as products."""
    glu, separable = conv.glu, conv.dw_sep_conv_1d
    value, gate = F.linear(
        conv.layer_norm(x), glu.ext_pw_conv_1d.weight[..., 0], glu.ext_pw_conv_1d.bias
    ).chunk(2, -1)
    y = (value + glu.b1[..., 0]) * F.silu(gate + glu.b2[..., 0])
    y = F.pad(y, (0, 0, 2, 0))
    windows = [(slice(None), slice(i, i + x.shape[1])) for i in range(3)]
    y = _depthwise(y, separable.dw_conv.weight[:, 0].T, separable.dw_conv.bias, windows)
    y = F.silu(F.linear(y, separable.pw_conv.weight[..., 0], separable.pw_conv.bias))
    return F.linear(y, conv.ext_pw_conv_1d.weight[..., 0], conv.ext_pw_conv_1d.bias)


def project_speech(model: Any, encoded: Tensor, vision: bool) -> Tensor:
    """The projector to the decoder's width: the vision one when a picture is in the prompt."""
    part = model.model.embed_tokens_extend.audio_embed
    up, down = (
        (part.up_proj_for_vision_speech, part.down_proj_for_vision_speech)
        if vision
        else (part.up_proj_for_speech, part.down_proj_for_speech)
    )
    out: Tensor = down(F.gelu(up(encoded)))
    return out


def _places(patches: Tensor) -> tuple[Tensor, Tensor]:
    """For pictures that fill [batch, 2] patches down and across: position numbers, and which patches show it.

    Both [batch, 256, 4]: 16x16 cells of 2x2 patches. What a crop shows is spread over all positions.
    """
    table = torch.from_numpy(position_buckets(32))
    at = torch.arange(32)
    down, across = patches[:, :1], patches[:, 1:]
    shown = (at < down)[:, :, None] & (at < across)[:, None]
    place = torch.where(shown, table[down[:, 0]][:, :, None] * 32 + table[across[:, 0]][:, None], 0)
    return by_cells(place), by_cells(shown)


def by_cells(patches: Tensor) -> Tensor:
    """Values of patches [batch, 32, 32] by cells of 2x2 [batch, 256, 4]."""
    return patches.view(-1, 16, 2, 16, 2).transpose(2, 3).reshape(-1, 256, 4)


def see_cells(
    model: Any, pixels: Tensor, kept: Tensor | None = None, patches: Tensor | None = None
) -> Tensor:
    """Pooled features of `see_patches`: [batch, 16, 16, vision width], or [batch, n, vision width]."""
    seen = see_patches(model, pixels, kept, patches).mean(2)
    return seen if kept is not None else seen.view(len(seen), 16, 16, -1)


def see_patches(
    model: Any,
    pixels: Tensor,
    kept: Tensor | None = None,
    patches: Tensor | None = None,
    which: Tensor | None = None,
) -> Tensor:
    """Features [batch, 256, 4, vision width] of the patches of cells of pictures, uint8 [batch, 448, 448, 3].

    With `kept` int64 [batch, n], only those cells of each picture are looked at, as if there were no others;
    the result is [batch, n, 4, vision width]; `which` int64 [batch] tells from which picture each row of
    `kept` is, if not from one each. `patches` int64 [batch, 2] is how far the pictures fill the crop; what is
    beyond is not attended to.
    """
    part = model.model.embed_tokens_extend.image_embed
    tower = part.img_processor
    batch, side = len(pixels), 16
    # a cell is 2x2 patches of 14x14 pixels
    cells = pixels.view(batch, side, 2, 14, side, 2, 14, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
    looked = cells.reshape(batch, side * side, 4, 588)
    full = torch.tensor([[32, 32]])
    place, shown = _places(full.expand(batch, 2) if patches is None else patches)
    if kept is None:
        kept = torch.arange(side * side).expand(batch, -1)
    rows = (torch.arange(batch) if which is None else which)[:, None]
    batch, count = kept.shape
    chosen = looked[rows, kept].float() / 127.5 - 1  # as the processor scales them
    convolution = tower.embeddings.patch_embedding
    places = tower.embeddings.position_embedding.weight[place[rows, kept]]
    x = F.linear(chosen, convolution.weight.flatten(1), convolution.bias) + places
    x = x.view(batch, count * 4, -1)
    mask = None if patches is None else shown[rows, kept].view(batch, 1, 1, -1)
    for layer in tower.encoder.layers[: shape.VISION_LAYERS]:
        attention = layer.self_attn
        y = layer.layer_norm1(x)
        q, k, v = (
            m(y).view(*y.shape[:2], shape.VISION_HEADS, -1).transpose(1, 2)
            for m in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        if mask is None:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            with torch.autocast("cpu", enabled=False):  # with a mask, bfloat16 is slower here
                y = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask)
        x = x + attention.out_proj(y.transpose(1, 2).reshape(x.shape))
        x = x + layer.mlp(layer.layer_norm2(x))
    out: Tensor = x.view(batch, count, 4, -1)
    return out


def project_picture(model: Any, crop: Tensor, overview: Tensor | None = None) -> Tensor:
    """Embeddings [batch, n, width] of pictures: the crop's rows, the separator, the whole picture's rows.

    `crop` [batch, rows, columns, vision width] holds the cells that show the picture, `overview` all 16x16;
    they are the same for square pictures, with n = 545.
    """
    part = model.model.embed_tokens_extend.image_embed

    def lines(cells: Tensor) -> Tensor:
        ends = part.sub_img_feature_extensor.expand(*cells.shape[:2], 1, -1)
        return torch.cat((cells, ends), 2).flatten(1, 2)

    middle = part.global_img_feature_extensor.expand(len(crop), 1, -1)
    order = torch.cat((lines(crop), middle, lines(crop if overview is None else overview)), 1)
    out: Tensor = part.img_projection_down(F.gelu(part.img_projection_up(order)))
    return out


def embed_rows(model: Any, rows: Sequence[Sequence[int | tuple[int, ...] | Tensor]]) -> Tensor:
    """Embeddings [rows, longest, width] of rows, zero-padded.

    Rows are made of token ids, of tuples of them (the sum of their embeddings), and of features [n, width].
    """
    bags = [(i,) if isinstance(i, int) else i for row in rows for i in row if not isinstance(i, Tensor)]
    offsets = torch.tensor([0, *itertools.accumulate(len(bag) for bag in bags)][:-1])
    flat = torch.tensor([i for bag in bags for i in bag])
    vectors = F.embedding_bag(flat, model.model.embed_tokens.weight, offsets, mode="sum")
    out, at = [], 0
    for row in rows:
        parts: list[Tensor] = []
        run = 0
        for item in row:
            if not isinstance(item, Tensor):
                run += 1
                continue
            parts += [vectors[at : at + run], item]
            at, run = at + run, 0
        parts.append(vectors[at : at + run])
        at += run
        out.append(torch.cat(parts))
    return nn.utils.rnn.pad_sequence(out, batch_first=True)

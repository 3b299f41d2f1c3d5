"""The front end: text to token ids, pictures and sound to the arrays that the encoders take.

onnxruntime-genai has Phi-4-multimodal's tokenizer and both media processors, but hands them out only with a
loaded model. `FrontEnd` gives it four stub graphs made in memory, with the inputs and outputs that
`genai_config.json` names and nothing inside, so no weight is read and the package needs no .onnx file at all.

Three properties that the rest of the program relies on:

- `encode` never yields a special token, whatever the text says: a text that spells ``<|end|>`` is cut inside
  the word before it reaches the tokenizer. Special tokens come from `control` only.
- Each picture and each clip is processed alone, so any number of them can be placed anywhere in a prompt.
- The same sound always gives the same features: exact digital silence, whose log-mel energies are not finite,
  is filled with noise far below hearing from a fixed seed.

A package is checked by `models.package.check` before it comes here: genai obeys what its configuration says.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime_genai as og
import soundfile
import soxr
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from models import crops
from models.errors import MediaError, PackageError

IMAGE_ID: Final = 200010
"""Stands for one picture feature in `input_ids` (fixed in genai's processor)."""
AUDIO_ID: Final = 200011
"""Stands for one sound feature in `input_ids` (fixed in genai's processor)."""
SAMPLE_RATE: Final = 16_000
"""Hz. The processor also takes 8 kHz, but the encoder hears more in 16 kHz."""
FRAME_RATE: Final = 100
"""Feature frames a second (hop of 160 samples)."""
FRAMES_PER_TOKEN: Final = 8
"""The encoder's subsampling: 12.5 sound tokens a second."""

_SHORTEST: Final = 1_600  # samples; shorter clips are filled up, the first frame alone takes 400
_PIECE: Final = 2_900  # frames; genai's log-mel step silently drops what is beyond 30 s
_HOP: Final = 160
_WINDOW: Final = 400
_DITHER: Final = 1e-5  # -100 dB of full scale
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_LONG_RUN: Final = re.compile(r"(\S{2048})(?=\S)")
"""Text without a blank is cut after so many characters: genai takes quadratic time for a long word, with the
interpreter locked."""
_RATES: Final = (1_000, 1_000_000)  # Hz
_NUL: Final = "\u0100"  # how a byte-level vocabulary writes the byte 0

og.disable_telemetry_events()


@dataclass(frozen=True)
class PictureInputs:
    """One picture as the vision graph takes it.

    pixel_values float32 [1, 1 + crops, 3, 448, 448] in -1…1 (the first is the whole picture, made small),
    image_attention_mask float32 [1, 1 + crops, 32, 32] (0 where a crop is padding),
    image_sizes int64 [1, 2] (height, width of the padded picture), tokens: its length in the prompt.
    """

    pixel_values: NDArray[np.float32]
    image_attention_mask: NDArray[np.float32]
    image_sizes: NDArray[np.int64]
    tokens: int


@dataclass(frozen=True)
class ClipInputs:
    """One clip as the speech graph takes it.

    audio_embeds float32 [1, frames, 80] (log-mel, 100 frames a second), audio_attention_mask bool
    [1, frames], audio_sizes int64 [1], tokens: its length in the prompt, ceil(frames / 8).
    """

    audio_embeds: NDArray[np.float32]
    audio_attention_mask: NDArray[np.bool_]
    audio_sizes: NDArray[np.int64]
    tokens: int


class TokenStream:
    """Turns generated ids into text, one at a time, and gives whole characters only."""

    def __init__(self, tokenizer: Any, silent: frozenset[int]) -> None:
        self._stream = tokenizer.create_stream()
        self._silent = silent

    def push(self, token: int) -> str:
        """The text that `token` completes; empty for special tokens and inside a character."""
        return "" if token in self._silent else str(self._stream.decode(token))


class FrontEnd:
    """Tokenizer and media processors of one package directory; loads no weights. Not thread-safe.

    The directory needs `genai_config.json`, the two processor files and the tokenizer's files.
    """

    image_id: Final = IMAGE_ID
    audio_id: Final = AUDIO_ID

    def __init__(self, package: Path) -> None:
        """Raises PackageError if a file is missing or genai refuses it."""
        try:
            settings = json.loads((package / "genai_config.json").read_text("utf-8"))
            config = og.Config(str(package))
            config.clear_providers()  # nothing is computed here, so no driver's library needs loading
            for name, graph in _stubs(settings["model"]).items():
                config.add_model_data(name, graph)
            model = og.Model(config)
            self._tokenizer = og.Tokenizer(model)
            self._processor = model.create_multimodal_processor()
            self._controls = _added_tokens(package)
            vocabulary = json.loads((package / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
            ends = settings["model"]["eos_token_id"]
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise PackageError(
                f"The tokenizer or a processor of the model package {package} can't be read: {error}",
                "Build the package again, or fetch a complete one.",
            ) from error
        self.stop_ids: frozenset[int] = frozenset([ends] if isinstance(ends, int) else ends)
        self._special = frozenset(self._controls.values())
        self._nul = vocabulary.get(_NUL)
        # A cut after the first character of every special token that a text spells out.
        self._cuts = re.compile(
            "|".join(f"(?<={re.escape(t[0])})(?={re.escape(t[1:])})" for t in self._controls if len(t) > 1)
        )

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, taken literally: decoding gives the text back, and no id is a special token.

        Half surrogate pairs, which no file or keyboard produces, become question marks. Raises PackageError
        if the tokenizer still finds a special token (a tokenizer that is not byte-level).
        """
        ids: list[int] = []
        text = text.encode("utf-8", "replace").decode("utf-8")
        for number, part in enumerate(text.split("\0")):  # genai's strings end at a zero byte
            if number and self._nul is not None:
                ids.append(self._nul)
            for piece in self._cuts.split(part):
                for run in _LONG_RUN.split(piece):
                    ids.extend(int(i) for i in self._tokenizer.encode(run))
        if not self._special.isdisjoint(ids):
            raise PackageError(
                "This tokenizer turns plain text into special tokens.", "Use a package that Aside has built."
            )
        return ids

    def control(self, token: str) -> int:
        """The id of a special token by name, such as ``<|user|>``. KeyError for anything else."""
        return self._controls[token]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; special tokens give nothing."""
        parts: list[list[int]] = [[]]
        for i in ids:
            if i == self._nul:
                parts.append([])
            elif i not in self._special:
                parts[-1].append(i)
        return "\0".join(str(self._tokenizer.decode(np.array(p, np.int32))) if p else "" for p in parts)

    def stream(self) -> TokenStream:
        """A new stream for one reply."""
        silent = self._special if self._nul is None else self._special | {self._nul}
        return TokenStream(self._tokenizer, silent)

    def picture(self, png_or_jpeg: bytes, most: int | None = None) -> PictureInputs:
        """The vision graph's inputs for one encoded picture. Raises MediaError if it can't be decoded.

        ``most``: it is made smaller until it has no more crops; else the package's own limit is all.
        """
        png = png_or_jpeg
        if most is not None or not png.startswith(_PNG):
            png = _as_png(png_or_jpeg, most)
        try:
            inputs = self._processor("<|image_1|>", images=og.Images.open_bytes(png))
            return PictureInputs(
                inputs["pixel_values"].as_numpy().copy(),
                inputs["image_attention_mask"].as_numpy().copy(),
                inputs["image_sizes"].as_numpy().copy(),
                int(inputs["num_image_tokens"].as_numpy().sum()),
            )
        except RuntimeError as error:
            raise MediaError(f"The picture can't be read: {error}", "Use a PNG or JPEG file.") from error

    def clip(self, samples: NDArray[np.float32], rate: int, at: int = 0) -> ClipInputs:
        """The speech graph's inputs for one clip: mono samples in -1…1, at any sampling rate (Hz).

        ``at``: so many samples (of 16 kHz) of the same recording come before; the frames are then those that
        the whole would have in this place, and the first `FRAMES_PER_TOKEN` of them count for no token.

        Raises MediaError if there is no sample or one is not a finite number.
        """
        if samples.ndim != 1 or samples.size == 0:
            raise MediaError("The sound is empty.", "Record or choose a clip with sound in it.")
        if not np.isfinite(samples).all():
            raise MediaError(
                "The sound is damaged: some samples are not numbers.", "Record or convert it again."
            )
        if not _RATES[0] <= rate <= _RATES[1]:
            raise MediaError(
                f"The sound has a sampling rate of {rate} Hz, which is none.", "Record or convert it again."
            )
        wave = samples.astype(np.float32, copy=False)
        if rate != SAMPLE_RATE:
            wave = soxr.resample(wave, rate, SAMPLE_RATE)
        wave = np.pad(wave, (0, max(0, _SHORTEST - wave.size)))
        dither = np.random.Generator(np.random.PCG64(0).advance(at))
        noise = dither.uniform(-_DITHER, _DITHER, wave.size).astype(np.float32)
        wave = np.clip(np.where(wave == 0, noise, wave), -1, 1)
        frames = 1 + (wave.size - _WINDOW) // _HOP
        starts = range(0, frames, _PIECE)
        features = np.concatenate(
            [self._log_mel(wave[at * _HOP : (at + _PIECE - 1) * _HOP + _WINDOW]) for at in starts], axis=1
        )
        tokens = -(-frames // FRAMES_PER_TOKEN) - (1 if at else 0)
        return ClipInputs(features, np.ones((1, frames), np.bool_), np.array([tokens], np.int64), tokens)

    def _log_mel(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features [1, frames, 80] of at most 30 s at 16 kHz; each frame depends on its own samples only."""
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, SAMPLE_RATE, format="WAV", subtype="FLOAT")
        inputs = self._processor("<|audio_1|>", audios=og.Audios.open_bytes(buffer.getvalue()))
        features: NDArray[np.float32] = inputs["audio_embeds"].as_numpy().copy()
        return features


def _as_png(data: bytes, most: int | None = None) -> bytes:
    """The same picture as PNG, small enough for ``most`` crops. Raises MediaError.

    genai's JPEG decoder hangs on a file that is cut and ends the process on one that is damaged.
    """
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            small = picture if most is None else crops.shrunk(picture, most)
            if small is picture and data.startswith(_PNG):
                return data
            small.convert("RGB").save(buffer, "PNG", compress_level=1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"The picture can't be read: {error}", "Use a PNG or JPEG file.") from error
    return buffer.getvalue()


def _added_tokens(package: Path) -> dict[str, int]:
    """Special tokens by name: those of tokenizer.json, and those that only tokenizer_config.json names."""
    found: dict[str, int] = {}
    settings = package / "tokenizer_config.json"
    if settings.exists():
        listed = json.loads(settings.read_text("utf-8")).get("added_tokens_decoder", {})
        found |= {str(token["content"]): int(number) for number, token in listed.items()}
    listed = json.loads((package / "tokenizer.json").read_text("utf-8")).get("added_tokens", [])
    return found | {str(token["content"]): int(token["id"]) for token in listed}


def _stubs(model: dict[str, Any]) -> dict[str, bytes]:
    """The four graphs of a `phi4mm` package by file name, without anything inside.

    genai looks at names, element types and ranks of inputs and outputs only.
    """
    real, whole, truth = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    text = model["decoder"]
    heads, head, width = text["num_key_value_heads"], text["head_size"], text["hidden_size"]
    layers = range(text["num_hidden_layers"])

    def cache(side: str, kind: str) -> list[_Port]:
        return [
            (text[side][f"{kind}_{of}_names"] % i, real, (1, heads, "?", head)) for i in layers for of in _KV
        ]

    vision, speech, embedding = model["vision"], model["speech"], model["embedding"]
    pixels = vision["inputs"]
    sound = speech["inputs"]
    merged = embedding["inputs"]
    return {
        vision["filename"]: _stub(
            [
                (pixels["pixel_values"], real, ("?", "?", 3, 448, 448)),
                (pixels["attention_mask"], real, ("?", "?", 32, 32)),
                (pixels["image_sizes"], whole, ("?", 2)),
            ],
            [(vision["outputs"]["image_features"], real, ("?", width))],
        ),
        speech["filename"]: _stub(
            [
                (sound["audio_embeds"], real, ("?", "?", 80)),
                (sound["attention_mask"], truth, ("?", "?")),
                (sound["audio_sizes"], whole, ("?",)),
                (sound["audio_projection_mode"], whole, (1,)),
            ],
            [(speech["outputs"]["audio_features"], real, ("?", width))],
        ),
        embedding["filename"]: _stub(
            [
                (merged["input_ids"], whole, ("?", "?")),
                (merged["image_features"], real, ("?", width)),
                (merged["audio_features"], real, ("?", width)),
            ],
            [(embedding["outputs"]["inputs_embeds"], real, ("?", "?", width))],
        ),
        text["filename"]: _stub(
            [
                (text["inputs"]["inputs_embeds"], real, ("?", "?", width)),
                (text["inputs"]["attention_mask"], whole, ("?", "?")),
                *cache("inputs", "past"),
            ],
            [(text["outputs"]["logits"], real, ("?", "?", "?")), *cache("outputs", "present")],
        ),
    }


_Port = tuple[str, int, tuple[int | str, ...]]
_KV: Final = ("key", "value")


def _stub(inputs: Iterable[_Port], outputs: Sequence[_Port]) -> bytes:
    """A serialised graph whose outputs are empty constants; every unknown axis gets a name of its own."""

    def port(name: str, kind: int, shape: tuple[int | str, ...]) -> Any:
        axes = [f"{name}_{i}" if axis == "?" else axis for i, axis in enumerate(shape)]
        return helper.make_tensor_value_info(name, kind, axes)

    nodes = [
        helper.make_node(
            "Constant",
            [],
            [name],
            value=helper.make_tensor(
                f"{name}_", kind, [0 if axis == "?" else int(axis) for axis in shape], []
            ),
        )
        for name, kind, shape in outputs
    ]
    graph = helper.make_graph(nodes, "stub", [port(*p) for p in inputs], [port(*p) for p in outputs])
    stub = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(stub.SerializeToString())

"""Synthetic speech: libespeak-ng called directly, many voices, then noise and gain.

The voices of the evaluation are variants (and one accent) that training never uses, at speeds and pitches
that it never uses either.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import random
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from models.errors import DeviceError
from models.nano import channel
from models.nano.synthesisers import Voice
from models.nano.words import words

Split = Literal["train", "eval"]

ACCENTS: Final = (
    *("en", "en-us", "en", "en-us", "en-gb-scotland"),
    *("en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"),
)
EVAL_ACCENTS: Final = ("en", "en-us", "en-gb-x-gbcwmd")
"""Training knows these accents; who speaks (`EVAL_VARIANTS`) it doesn't."""
UNHEARD_ACCENT: Final = "en-029"
"""The Caribbean, of which training has nothing."""
EVAL_VARIANTS: Final = ("m4", "f3", "Alex", "linda", "steph2", "miguel")
VARIANTS: Final = words(
    "m1 m2 m3 m5 m6 m7 m8 f1 f2 f4 f5 adam Alicia Andrea Andy Annie antonio aunty belinda benjamin "
    "boris caleb david Denis Diogo ed edward Gene Gene2 gustave Henrique Hugo iven iven2 john "
    "kaukovalta Lee marcelo Marco Mario max Michael michel Mike pablo paul pedro quincy rob robert "
    "steph steph3 zac anika klatt2 sandro shelby travis victor norbert"
)

_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER
_SYNCHRONOUS, _CHARS_UTF8, _IPA = 2, 1, 2
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """libespeak-ng in this process. It keeps global state: one object a process."""

    def __init__(self) -> None:
        """Raises DeviceError if the library is missing."""
        name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
        try:
            self._library = ctypes.CDLL(name)
        except OSError as error:
            raise DeviceError("libespeak-ng is missing.", "Install it: apt install libespeak-ng1.") from error
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0))
        if self.rate <= 0:
            raise DeviceError("espeak-ng has no voice data.", "Install it: apt install espeak-ng-data.")
        self._blocks: list[NDArray[np.int16]] = []
        self._callback = _Callback(self._collect)  # kept: the library holds a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)
        self._phonemes: dict[str, str] = {}

    def _collect(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str, rate: int, pitch: int, spread: int) -> NDArray[np.float32]:
        """Samples in -1…1 at `self.rate` Hz. `rate` words a minute; `pitch`, `spread` 0 to 100."""
        call = self._library
        if call.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DeviceError(f"espeak-ng has no voice {voice}.", "Install espeak-ng 1.51 or later.")
        for parameter, value in ((_RATE, rate), (_VOLUME, 80), (_PITCH, pitch), (_RANGE, spread)):
            call.espeak_SetParameter(parameter, value, 0)
        self._blocks.clear()
        data = text.encode() + b"\0"
        call.espeak_Synth(data, len(data), 0, 0, 0, _CHARS_UTF8, None, None)
        call.espeak_Synchronize()
        return np.concatenate(self._blocks).astype(np.float32) / np.float32(32768)

    def phonemes(self, word: str) -> str:
        """The word in IPA letters as the voice `en` says it, without stress and length marks."""
        if word not in self._phonemes:
            self._library.espeak_SetVoiceByName(b"en")
            data = ctypes.c_void_p(ctypes.cast(ctypes.c_char_p(word.encode()), ctypes.c_void_p).value)
            ipa = self._library.espeak_TextToPhonemes(ctypes.byref(data), _CHARS_UTF8, _IPA).decode()
            self._phonemes[word] = "".join(c for c in ipa if unicodedata.category(c) == "Ll" or c == "ə")
        return self._phonemes[word]


Bands = tuple[tuple[int, int], ...]
SPEEDS: Final[dict[Split, Bands]] = {  # words a minute
    "train": ((130, 159), (173, 205)),
    "eval": ((160, 172), (160, 172), (122, 129), (206, 214)),
}
PITCHES: Final[dict[Split, Bands]] = {
    "train": ((28, 44), (53, 72)),
    "eval": ((45, 52), (45, 52), (22, 27), (73, 78)),
}
SPREADS: Final = (25, 75)
SIZES: Final = (0.85, 1.18)
"""How much faster than synthesised the voices of training are played: as if of larger and smaller people."""


def utter(
    espeak: Espeak,
    text: str,
    rng: random.Random,
    split: Split,
    ratio: float | None = None,
    *,
    others: Sequence[Voice] = (),
    accent: str = "",
) -> NDArray[np.float32]:
    """`text` in a random voice of `split`, with silence around it, a random level and, mostly, noise.

    Speeds and pitches of the two splits have nothing in common. For training, `others` than espeak-ng speak
    their share too, and most voices come through a room, a microphone or a line. The rate is espeak-ng's.
    `accent` is one of espeak-ng's English voices; without it, a random one of `split`.
    `ratio` is that of speech to noise in dB; without it, three in four have one from 8 to 45.
    """
    if split == "eval":
        wave = _espeak(espeak, text, rng, split, 1.0, accent=accent)
    else:
        size = rng.uniform(*SIZES) if rng.random() < 0.6 else 1.0
        rest = 1 - sum(other.share for other in others)
        voice = rng.choices((None, *others), (rest, *(other.share for other in others)))[0]
        if voice:
            wave, rate = voice.say(text, rng, size)
        else:
            wave, rate = _espeak(espeak, text, rng, split, size), espeak.rate
        if rate * size != espeak.rate:
            wave = soxr.resample(wave, rate * size, espeak.rate)
    before, after = (int(espeak.rate * rng.uniform(0.05, 0.4)) for _ in range(2))
    wave = np.pad(np.trim_zeros(wave), (before, after))
    if split == "train":
        wave = channel.changed(wave, espeak.rate, rng)
    level = float(np.sqrt(np.mean(wave**2))) + 1e-6
    wave = wave * (10 ** rng.uniform(-2.1, -0.9) / level)
    if ratio is not None or rng.random() < 0.75:
        ratio = rng.uniform(8, 45) if ratio is None else ratio
        wave = wave + channel.noise(rng, wave.size) * 10 ** (-ratio / 20) * float(np.std(wave))
    if split == "train" and rng.random() < 0.25:
        wave = channel.narrow(wave, espeak.rate, rng)
    return np.clip(wave, -1, 1).astype(np.float32)


def _espeak(
    espeak: Espeak, text: str, rng: random.Random, split: Split, size: float, *, accent: str = ""
) -> NDArray[np.float32]:
    """`text` at one of `SPEEDS` and `PITCHES`, once the sound is played `size` times faster."""
    accent = accent or rng.choice(ACCENTS if split == "train" else EVAL_ACCENTS)
    variant = rng.choice(VARIANTS if split == "train" else EVAL_VARIANTS)
    plain = split == "train" and rng.random() < 0.1
    speed, pitch = (rng.randint(*rng.choice(bands[split])) for bands in (SPEEDS, PITCHES))
    return espeak.say(
        text,
        accent if plain else f"{accent}+{variant}",
        round(speed / size),
        round(pitch - 50 * math.log2(size)),  # espeak-ng doubles the pitch in 50 steps
        rng.randint(*SPREADS),
    )


UNSPOKEN_RATE: Final = 16_000  # Hz


def unspoken(rng: random.Random) -> NDArray[np.float32]:
    """A quarter of a second to four in which nobody speaks: noise of any level, every third time a tune."""
    size = rng.randint(UNSPOKEN_RATE // 4, 4 * UNSPOKEN_RATE)
    wave = np.random.default_rng(rng.getrandbits(32)).standard_normal(size) * 10 ** rng.uniform(-6, -1.5)
    if rng.random() < 1 / 3:
        wave = wave * 0.1 + _tune(rng, size)
    return wave.astype(np.float32)


def _tune(rng: random.Random, size: int) -> NDArray[np.float64]:
    """Notes of one to three voices, each with overtones and an end that fades."""
    out = np.zeros(size)
    for _ in range(rng.randint(1, 3)):
        at = 0
        while at < size:
            length = min(size - at, int(UNSPOKEN_RATE * rng.choice((0.12, 0.25, 0.5))))
            time = np.arange(length) / UNSPOKEN_RATE
            pitch = 110 * 2 ** (rng.randint(0, 36) / 12)
            note = sum(np.sin(2 * np.pi * pitch * k * time) / k ** rng.uniform(1, 2) for k in range(1, 6))
            out[at : at + length] += note * np.exp(-time * rng.uniform(1, 8)) * (rng.random() < 0.85)
            at += length
    loudest = float(np.abs(out).max()) + 1e-6
    return np.asarray(out * (10 ** rng.uniform(-2, -0.3) / loudest))

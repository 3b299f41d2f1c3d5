"""Picture files: PNG, JPEG, WebP, BMP, TIFF (and GIF) to an upright RGB PNG of bounded size.

The size is read from the header and checked before a single pixel is decoded.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from models.errors import MediaError

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MOST_PIXELS: Final = 64_000_000  # decoded, about 256 MB
LARGEST_FILE: Final = 256 * 2**20
ENOUGH: Final = 16_000_000  # pixels kept: the vision encoder looks at 7.2 million at most (36 crops of 448²)
_CONVERT: Final = "Use a PNG, JPEG, WebP, BMP or TIFF file."


def load(path: Path) -> bytes:
    """The picture as an RGB PNG: upright, on white where it is transparent, the first frame of several.

    Raises MediaError if it can't be used.
    """
    try:
        if path.is_dir():
            raise MediaError(f"{path} is a folder, not a picture.")
        if not path.exists():
            raise MediaError(f"There is no file {path}.", "Check the name.")
        if not path.is_file():
            raise MediaError(f"{path} is a device or a pipe, not a picture.")
        size = path.stat().st_size
        if not size:
            raise MediaError(f"{path.name} is empty.", "Choose another file.")
        if size > LARGEST_FILE:
            raise MediaError(f"{path.name} has {size / 1e6:,.0f} MB, too many for a picture.", _CONVERT)
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path} can't be read: {error.strerror or error}.") from error
    return normalised(data, path.name)


def normalised(data: bytes, name: str = "The picture") -> bytes:
    """An encoded picture from memory (a camera, a screenshot, the clipboard), as `load` gives it."""
    try:
        with warnings.catch_warnings():
            # What a header says in vain is no matter; bombs are refused by our own, lower limit.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _converted(image, name)
    except Image.DecompressionBombError:
        raise _too_large(name, "far more than 64") from None
    except UnidentifiedImageError:
        raise MediaError(f"{name} is no picture, or its beginning is damaged.", _CONVERT) from None
    except MemoryError:
        raise MediaError(f"{name} needs more memory than there is.", "Make it smaller.") from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        TypeError,
        KeyError,
        ArithmeticError,
    ) as e:
        # Pillow's decoders raise any of these on damaged data.
        raise MediaError(f"{name} is damaged or cut short.", "Get the file again.") from e


def _converted(image: ImageFile.ImageFile, name: str) -> bytes:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_large(name, f"{width * height / 1e6:,.0f}")
    if width < 1 or height < 1:
        raise MediaError(f"{name} has no pixels.", "Choose another file.")
    if max(width, height) > 200 * min(width, height):
        raise MediaError(
            f"{name} has {width} x {height} pixels: such a narrow strip can't be seen.", "Cut it into parts."
        )
    scale = (ENOUGH / (width * height)) ** 0.5
    smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale < 1:
        image.draft("RGB", smaller)  # JPEG only: decode at a half, a quarter or an eighth
    image.load()
    picture = _rgb(ImageOps.exif_transpose(image), name)
    if scale < 1:
        picture.thumbnail((max(smaller), max(smaller)), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _rgb(image: Image.Image, name: str) -> Image.Image:
    """Any mode to RGB: 16 bits and more scaled to 8, transparency on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image, np.float64)
        if not np.isfinite(values).all():
            raise MediaError(f"{name} is damaged: some pixels are not numbers.", "Convert it again.")
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max()))
        image = Image.fromarray(np.clip(values / top * 255, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _too_large(name: str, megapixels: str) -> MediaError:
    return MediaError(
        f"{name} has {megapixels} megapixels, and Aside takes 64 at most.",
        "Make it smaller or cut a part out.",
    )

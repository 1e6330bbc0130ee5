"""Pictures: from the bytes of a file to pixels, the same pixels whichever way they come.

A picture is kept as a Netpbm file of the size that networks see (P6, or P5 where it is grey): pixels behind a short
header, no bits of which depend on a compressor's version. Reading one gives back just these pixels.
"""

import hashlib
import io
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import endings
from hone.errors import UserError

if TYPE_CHECKING:  # Pillow takes a tenth of a second, and tables have no pictures
    from PIL import Image

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]
"""Channels, height and width."""

IMAGE, LABEL = "image", "class"
"""Names of the columns that pictures make a table of."""
ENDINGS = endings.PICTURES
# Only these decoders see a stranger's file: others would start programs (EPS) or have been less looked at.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
CHANNELS = {"grey": 1, "colour": 3}
CHUNK = 1024


class UnreadableError(ValueError):
    """Bytes that are no picture; the message says why."""


def normalised(content: bytes, size: int) -> bytes:
    """Return a picture file as the file that is kept: colour, size × size; UnreadableError if it is no picture.

    It is turned as its EXIF data say, laid on white where it is transparent, and cut at the centre to a square before
    it is resized. Of an animation the first frame counts. What this returned is returned unchanged.
    """
    return encoded(_channels_first(_sized(opened(content), size)))


def from_pixels(pixels: Pixels, size: int) -> bytes:
    """Return pixels, [h, w] or [h, w, 1, 3 or 4] (the last with alpha), as the file that is kept."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    return encoded(_channels_first(_sized(_in_colour(image), size)))


def opened(content: bytes) -> "Image.Image":
    """Return a picture in colour (RGB), upright; UnreadableError if the bytes are no picture, or only a part of one."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF data and palettes
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                return _in_colour(ImageOps.exif_transpose(image))
    except Exception as error:  # of any type: what a broken file makes a decoder do is not foreseen
        words = "it is of no known format" if type(error).__name__ == "UnidentifiedImageError" else str(error)
        raise UnreadableError(" ".join(words.split())[:120] or type(error).__name__) from error


def encoded(pixels: Pixels) -> bytes:
    """Return pixels, [1 or 3, h, w], as a Netpbm file."""
    channels, height, width = pixels.shape
    kind = "P5" if channels == 1 else "P6"
    return f"{kind}\n{width} {height}\n255\n".encode() + pixels.transpose(1, 2, 0).tobytes()


def shape(contents: Iterable[bytes], channels: str) -> Shape:
    """Return the shape of pictures that `normalised` gave, of which there is at least one.

    channels: grey, colour, or auto: grey if there is no colour in any of them.
    """
    size, is_grey = 0, True
    for content in contents:
        pixels = _channels_first(opened(content))
        size = pixels.shape[1]
        is_grey = is_grey and bool((pixels == pixels[:1]).all())
        if channels != "auto" or not is_grey:
            break
    return ((1 if is_grey else 3) if channels == "auto" else CHANNELS[channels], size, size)


def stack(column: "pd.Series[bytes]", shape: Shape) -> Pixels:
    """Return [n, *shape]: a column of picture files, as they came or as they are kept.

    Raises UserError naming the first row that holds no picture.
    """
    pixels = np.empty((len(column), *shape), dtype=np.uint8)
    for row, content in enumerate(column):
        try:
            if not isinstance(content, bytes | bytearray):
                raise UnreadableError(f"it holds {type(content).__name__}, not the bytes of a file")
            image = _sized(opened(bytes(content)), shape[1])
        except UnreadableError as error:
            raise UserError(
                f"column {column.name!r}: row {row + 1} is no picture that can be read ({error}); remove it"
            ) from error
        pixels[row] = _channels_first(image.convert("L") if shape[0] == 1 else image)
    return pixels


def kept(column: "pd.Series[bytes]", shape: Shape) -> list[bytes]:
    """Return a column of picture files, each as a network of that shape sees it."""
    chunks = (column.iloc[start : start + CHUNK] for start in range(0, len(column), CHUNK))
    return [encoded(pixels) for chunk in chunks for pixels in stack(chunk, shape)]


def is_kept_grey(content: bytes) -> bool:
    """Return whether a file is one that was kept in grey; whether it had colours before, nobody knows."""
    return content.startswith(b"P5")


def digests(contents: Sequence[object]) -> list[str]:
    """Return a hash of each picture's bytes."""
    return [hashlib.blake2b(bytes(content), digest_size=16).hexdigest() for content in contents]  # type: ignore[call-overload]


def _in_colour(image: "Image.Image") -> "Image.Image":
    """Return the picture as RGB."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        values = np.asarray(image, dtype=np.float64)
        # 16 bits a pixel; Pillow's own conversion would cut everything above 255 off
        values = values / 257 if values.max(initial=0) > 255 else values
        image = Image.fromarray(np.clip(np.nan_to_num(values) + 0.5, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    return image.convert("RGB")


def _sized(image: "Image.Image", size: int) -> "Image.Image":
    """Return the largest square at a picture's centre, resized."""
    from PIL import Image, ImageOps

    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def _channels_first(image: "Image.Image") -> Pixels:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)

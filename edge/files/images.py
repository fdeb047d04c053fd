"""Reading and writing still images."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import (
    IMAGE_BYTES,
    chunk_orientation,
    declared_size,
    is_truncated,
    is_white_zero,
    is_zero_filled,
    unsupported_samples,
)
from tinydet.edge.files.native_stderr import StderrWatch
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import read_bytes
from tinydet.edge.files.writing import atomic_path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})

JPEG_QUALITY = 95
STRETCH_SHARE = 0.001
"""Share of 16-bit samples, at either end, that become black or white."""

_PADDING_BYTES = 512
#: libjpeg's messages about damage, which it fills with grey or noise; a few bytes after the scan are padding.
_DAMAGE = re.compile(
    rb"(Corrupt JPEG data: (?:(\d+) extraneous bytes before marker)?[^\n]*|Premature end of JPEG file[^\n]*)\n?"
)
_NOISE = re.compile(rb"(?:libpng (?:error|warning): |\[ ?(?:ERROR|WARN|INFO):)[^\n]*\n+")
_decoders = StderrWatch(_DAMAGE, _NOISE)
_Decoded = npt.NDArray[np.integer[Any] | np.floating[Any]]


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB, upright.

    As a viewer shows it: grey becomes three equal channels, an alpha channel is dropped, and the EXIF orientation is
    applied. 16-bit samples are stretched between the darkest and the brightest 0.1 per cent.

    Raises:
        InputError: the file is missing, not a regular file, too large, no image, ends before the image does, or is
            damaged.
    """
    content = read_bytes(path, what="image", limit_bytes=IMAGE_BYTES)
    if not content:
        raise _refused(path, "the file is empty")
    declared_size(io.BytesIO(content), path)
    if is_truncated(content):
        raise _refused(path, "the file is cut short (copied only in part?)")
    if is_zero_filled(content):
        raise _refused(path, "damaged (a part is filled with zeros): copy it again or remove it")
    unsupported = unsupported_samples(content)
    if unsupported is not None:
        raise _refused(path, f"expected 1, 3 or 4 bands of 8 or 16 bits, unsigned, got {unsupported}: convert it")
    image_bgr = _decode(content, path)
    if content.startswith(b"RIFF"):  # OpenCV leaves WebP as it is stored
        image_bgr = _upright(image_bgr, chunk_orientation(io.BytesIO(content)))
    if image_bgr.dtype == np.uint16:
        image_u16 = np.asarray(image_bgr, np.uint16)
        image_bgr = _to_8_bit(~image_u16 if is_white_zero(content) else image_u16)  # OpenCV inverts 8 bits only
    if image_bgr.dtype != np.uint8:
        raise _refused(path, f"expected 8 or 16 bits a sample, got {image_bgr.dtype}")
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=image_bgr), np.uint8)


def _decode(content: bytes, path: Path | str) -> _Decoded:
    """(H, W, 3) BGR. libjpeg reports damage on stderr only, without a file name."""
    try:
        image_bgr, damage = _decoders.run(lambda: _imdecode(content))
    except cv2.error as error:  # for example more pixels than OpenCV accepts
        raise _refused(path, " ".join(error.err.split())) from error
    if image_bgr is None:
        raise _refused(path, "not an image, or damaged")
    for match in damage:
        if match[2] is None or int(match[2]) > _PADDING_BYTES:
            line = printable(match[1].decode(errors="replace"))
            raise _refused(path, f"damaged ({line}): copy it again or remove it")
    return image_bgr


def _imdecode(content: bytes) -> _Decoded | None:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if content.startswith(b"RIFF"):
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)


def _upright(image: _Decoded, orientation: int) -> _Decoded:
    """(H, W, 3) turned and mirrored as the EXIF orientation demands (CIPA DC-008, tag 274)."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _refused(path: Path | str, problem: str) -> InputError:
    return InputError(f"cannot read image {printable(path)}: {problem}")


def write_image(path: Path | str, image_rgb: npt.NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 RGB in the format of the suffix, atomically.

    Raises:
        InputError: the suffix is not that of an image format, or the folder cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"cannot write image {path}: expected a suffix among {', '.join(sorted(IMAGE_SUFFIXES))}")
    image_bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(path.suffix, image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    with atomic_path(path) as partial:
        partial.write_bytes(encoded.tobytes())


def _to_8_bit(image_u16: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Stretch to 8 bits, any shape. Thermal cameras use few of the 65536 levels; the high byte alone would be flat."""
    up_to = np.bincount(image_u16.ravel(), minlength=1 << 16).cumsum()
    low, high = np.searchsorted(up_to, np.array([STRETCH_SHARE, 1 - STRETCH_SHARE]) * image_u16.size)
    levels = (np.arange(1 << 16) - low) * (255 / max(high - low, 1))
    table: npt.NDArray[np.uint8] = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    return table[image_u16]

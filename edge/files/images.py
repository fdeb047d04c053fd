"""Reading and writing still images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import atomic_path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})

JPEG_QUALITY = 95
STRETCH_SHARE = 0.001
"""Share of 16-bit samples, at either end, that become black or white."""


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB, upright.

    As a viewer shows it: grey becomes three equal channels, an alpha channel is dropped, and the EXIF orientation is
    applied. 16-bit samples are stretched between the darkest and the brightest 0.1 per cent.

    Raises:
        InputError: the file is missing, not an image, or cut short.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read image {path}: {error.strerror}") from error
    if not content:
        raise InputError(f"cannot read image {path}: the file is empty")
    if _is_truncated(content):
        raise InputError(f"cannot read image {path}: the file is cut short (copied only in part?)")
    try:
        image_bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:  # for example more pixels than OpenCV accepts
        raise InputError(f"cannot read image {path}: {error.err}") from error
    if image_bgr is None:
        raise InputError(f"cannot read image {path}: not an image, or damaged")
    if image_bgr.dtype == np.uint16:
        image_bgr = _to_8_bit(np.asarray(image_bgr, np.uint16))
    if image_bgr.dtype != np.uint8:
        raise InputError(f"cannot read image {path}: expected 8 or 16 bits a sample, got {image_bgr.dtype}")
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=image_bgr), np.uint8)


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


def _is_truncated(content: bytes) -> bool:
    """Whether the end of the file is missing, judged by the structure of its format.

    Decoders fill the missing part with grey and report success.
    """
    if content.startswith(b"\xff\xd8"):
        # JPEG: look for an end mark after the start of the first scan. An embedded thumbnail has its own before that
        # scan, and cameras may append data after the image, so the last bytes of the file prove nothing.
        scan = _jpeg_scan_start(content)
        return scan is None or content.find(b"\xff\xd9", scan) < 0
    if content.startswith(b"\x89PNG"):
        return b"IEND\xaeB`\x82" not in content
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return len(content) < int.from_bytes(content[4:8], "little") + 8
    if content.startswith(b"BM"):
        return len(content) < int.from_bytes(content[2:6], "little")
    return False


def _jpeg_scan_start(content: bytes) -> int | None:
    """Find the offset of the first scan's data, None without one (ITU-T T.81, B.1.1.4: marker, length, payload)."""
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            return None
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        position += 2 + length
        if marker == 0xDA:
            return position
    return None

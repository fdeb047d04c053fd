"""Image files before decoding: their size, their structure, and whether their end is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import imagesize

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import MIB, open_file

IMAGE_BYTES = 512 * MIB
"""Largest image file: 16 bit RGB of 80 million pixels, uncompressed."""
LARGEST_PIXELS = 1 << 28
"""Of an image, 16384 x 16384: decoded 0.8 GB. A few bytes of PNG or TIFF can declare a thousand times that."""

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_TIFF = re.compile(rb"II\*\0|MM\0\*")
_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|BM|II\*\0|MM\0\*|RIFF....WEBP|P[1-7]\s|GIF8|\0\0\0\x0cjP", re.DOTALL
)

LONGEST_ZEROS = 64
"""Maximum zero bytes in a row within a JPEG's scan; 3110 photographs have at most 8."""

TRANSPOSED = 5
"""First EXIF orientation with exchanged width and height."""

_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _FORMAT = 258, 262, 274, 277, 339
_SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "float"}
_TYPE_BYTES = {1: 1, 3: 2, 4: 4}
"""Of TIFF's whole numbers: byte, short and long."""


def image_size(path: Path | str) -> tuple[int, int]:
    """Width and height of the upright image, from its header.

    Raises:
        InputError: it is not a regular file, has no image's header, or declares more than `LARGEST_PIXELS`.
    """
    with open_file(path, what="image", limit_bytes=IMAGE_BYTES) as file:
        return declared_size(file, path)


def declared_size(file: BinaryIO, path: Path | str) -> tuple[int, int]:
    """`image_size` of an open file; `path` is for the error message."""
    width = height = 0
    start = file.read(16)
    if _IMAGE.match(start):
        file.seek(0)
        try:
            width, height = imagesize.get(file)
            if chunk_orientation(file) >= TRANSPOSED:  # imagesize looks only into JPEG and TIFF
                width, height = height, width
        except (OSError, ValueError, ArithmeticError, LookupError, TypeError):  # a damaged header
            width = 0
    if width < 1 or height < 1:
        raise InputError(f"cannot read image {printable(path)}: not an image, or damaged")
    if width * height > LARGEST_PIXELS:
        raise InputError(
            f"cannot read image {printable(path)}: it declares {width}x{height} pixels, expected at most "
            f"{LARGEST_PIXELS >> 20} million: cut it into tiles"
        )
    return width, height


def is_truncated(content: bytes) -> bool:
    """Whether the file's own structure says that its end is missing.

    Decoders fill what is missing with grey and report success, so the end mark is looked for instead.
    """
    if content.startswith(b"\xff\xd8"):
        # JPEG: an end mark after the first scan began. An embedded thumbnail has its own, before that scan; cameras may
        # append data after the image, so the end of the file says nothing.
        scan = _jpeg_scan_start(content)
        return scan is None or content.find(b"\xff\xd9", scan) < 0
    if content.startswith(b"\x89PNG"):
        return b"IEND\xaeB`\x82" not in content
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return len(content) < int.from_bytes(content[4:8], "little") + 8
    if content.startswith(b"BM"):
        return len(content) < int.from_bytes(content[2:6], "little")
    return False


def is_zero_filled(content: bytes) -> bool:
    """Whether zeros replace a part of a JPEG's scan, as bad cards leave it; libjpeg overlooks many such blocks.

    True for sequential Huffman coding only, and only if zeros cannot mean a flat area: the shortest code, which is all
    zeros, does not stand for "no further coefficient" (symbol 0). Zeros before the end mark are padding.
    """
    zeros = bytes(LONGEST_ZEROS + 1)
    if zeros not in content:  # a hundred times as fast as the search for the end mark
        return False
    start, sequential, end_of_block = None, False, True
    for marker, begin, length in _jpeg_segments(content):
        sequential = sequential or marker in (0xC0, 0xC1)
        if marker == 0xC4:
            end_of_block = end_of_block and not any(_shortest_ac_codes(content[begin : begin + length]))
        start = begin + length if marker == 0xDA else None
    if start is None or not sequential or end_of_block:
        return False
    scan = content[start : content.find(b"\xff\xd9", start)].rstrip(b"\0")
    return zeros in scan


def unsupported_samples(content: bytes) -> str | None:
    """The kind of a TIFF's samples if OpenCV cannot read them, such as `5 bands of 8 bits`."""
    tags = tiff_tags(content)
    bits, bands, kind = tags.get(_BITS, 1), tags.get(_SAMPLES, 1), tags.get(_FORMAT, 1)
    if bits <= 16 and bands <= 4 and kind == 1:
        return None
    kind_text = "" if kind == 1 else f" ({_SAMPLE_FORMATS.get(kind, 'complex')})"
    return f"{bands} band{'s' * (bands > 1)} of {bits} bits{kind_text}"


def is_white_zero(content: bytes) -> bool:
    """Whether the file is a TIFF in which 0 is white (`PhotometricInterpretation` 0)."""
    return tiff_tags(content).get(_PHOTOMETRIC, 1) == 0


def tiff_tags(content: bytes) -> dict[int, int]:
    """Tag -> its first value, of the whole numbers in the first directory (TIFF 6.0, section 2); {} without one."""
    if not _TIFF.match(content):
        return {}
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(content[start : start + size], order)

    directory = number(4, 4)
    tags = {}
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        tag, size, count = number(entry, 2), _TYPE_BYTES.get(number(entry + 2, 2), 0), number(entry + 4, 4)
        if size:
            tags[tag] = number(entry + 8 if size * count <= 4 else number(entry + 8, 4), size)
    return tags


def chunk_orientation(file: BinaryIO) -> int:
    """The EXIF orientation, 1 to 8, of a PNG or WebP; 1 if it has none or is of another format."""
    for name, length in _chunks(file):
        if name in (b"eXIf", b"EXIF"):
            return tiff_tags(file.read(min(length, MIB)).removeprefix(b"Exif\0\0")).get(_ORIENTATION, 1)
    return 1


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and length of each chunk of a PNG or WebP (RIFF), with `file` at its data."""
    file.seek(0)
    start = file.read(12)
    is_png = start.startswith(PNG)
    if not is_png and (start[:4], start[8:]) != (b"RIFF", b"WEBP"):
        return
    position = len(PNG) if is_png else len(start)
    while True:
        file.seek(position)
        head = file.read(8)
        if is_png:
            name, length = head[4:], int.from_bytes(head[:4], "big")
        else:
            name, length = head[:4], int.from_bytes(head[4:], "little")
        if len(head) < 8 or not name.strip().isalnum():  # the end, or a million chunks of zeros
            return
        yield name, length
        position += 12 + length if is_png else 8 + length + length % 2


def _jpeg_scan_start(content: bytes) -> int | None:
    """Offset of the first scan's data; None if there is none."""
    return next((start + length for marker, start, length in _jpeg_segments(content) if marker == 0xDA), None)


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and length of the payloads up to the first scan's (ITU-T T.81, B.1.1.4)."""
    position, marker = 2, 0
    while position + 4 <= len(content) and content[position] == 0xFF and marker != 0xDA:
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        yield marker, position + 4, length - 2
        position += 2 + length


def _shortest_ac_codes(tables: bytes) -> Iterator[int]:
    """Symbols of the shortest codes of the AC tables in a segment of Huffman tables (T.81, B.2.4.2)."""
    position = 0
    while position + 17 < len(tables):
        if tables[position] >> 4 == 1:
            yield tables[position + 17]
        position += 17 + sum(tables[position + 1 : position + 17])

"""Read the metadata in an ONNX file without the onnx package, which a board does not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinydet.edge.artifact import METADATA_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.metadata import parse_metadata

# Field numbers of onnx.proto, and of protobuf's wire format (protobuf.dev/programming-guides/encoding).
METADATA_PROPS = 14  # of ModelProto
KEY, VALUE = 1, 2  # of StringStringEntryProto
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


def read_onnx_metadata(path: Path) -> ArtifactMetadata:
    """Read the metadata of an ONNX artifact. Raises `InputError` when the file is missing or damaged, or has none."""
    if not path.is_file():
        raise InputError(f"artifact {path} does not exist")
    content = memoryview(path.read_bytes())
    text = None
    try:
        for entry in _fields(content, METADATA_PROPS):
            key, value = (b"".join(_fields(entry, number)).decode() for number in (KEY, VALUE))
            if key == METADATA_KEY:
                text = value
    except (IndexError, UnicodeDecodeError) as error:
        raise InputError(f"cannot load {path}: not an ONNX model, or cut short") from error
    return parse_metadata(text, path)


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields with the number `wanted`. Raises `IndexError` where `message` is no protobuf."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, position = _varint(message, position)
            continue
        if kind == LENGTH_DELIMITED:
            length, position = _varint(message, position)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise IndexError(f"wire type {kind}")
        end = position + length
        if end > len(message):
            raise IndexError(f"field {number} ends {end - len(message)} bytes behind the end")
        if number == wanted and kind == LENGTH_DELIMITED:
            yield message[position:end]
        position = end


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read seven bits a byte, lowest first, up to a byte below 128; returns the value and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position

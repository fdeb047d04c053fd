"""Read the metadata in an ONNX file without the onnx package, which a board does not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tinydet.edge.artifact import METADATA_KEY, WEIGHTS_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import read_bytes
from tinydet.edge.runtimes.metadata import check_sum, check_weights, parse_metadata

# Field numbers of onnx.proto, and of protobuf's wire format (protobuf.dev/programming-guides/encoding).
METADATA_PROPS = 14  # of ModelProto
KEY, VALUE = 1, 2  # of StringStringEntryProto
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


class OnnxFile(NamedTuple):
    """A checked ONNX artifact. weights: check sum of all but the metadata."""

    content: bytes
    metadata: ArtifactMetadata
    weights: str


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX artifact.

    Raises:
        InputError: the file is missing, too large, damaged, or has no sound metadata.
    """
    content = read_bytes(path, what="artifact")
    try:
        entries = dict(_entries(content))
        weights = onnx_check_sum(content)
    except IndexError as error:
        raise InputError(f"cannot load {printable(path)}: not an ONNX model, or cut short") from error
    expected = entries.get(WEIGHTS_KEY.encode())
    check_weights(weights, None if expected is None else expected.decode(errors="replace"), path)
    return OnnxFile(content, parse_metadata(entries.get(METADATA_KEY.encode()), path), weights)


def onnx_check_sum(content: bytes) -> str:
    """Check sum of an ONNX model without its `metadata_props`. Raises `IndexError` where it is no protobuf."""
    message = memoryview(content)
    return check_sum(message[field.start : field.end] for field in _fields(message) if field.number != METADATA_PROPS)


def _entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of `metadata_props`."""
    message = memoryview(content)
    for field in _fields(message):
        if field.number == METADATA_PROPS:
            entry = message[field.value : field.end]
            parts = {part.number: bytes(entry[part.value : part.end]) for part in _fields(entry)}
            yield parts.get(KEY, b""), parts.get(VALUE, b"")


class _Field(NamedTuple):
    """Offsets of a field: its tag, its value, and the byte behind it."""

    number: int
    start: int
    value: int
    end: int


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields in turn. Raises `IndexError` where `message` is no protobuf."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        length = 0
        if kind == VARINT:
            _, position = _varint(message, position)
        elif kind == LENGTH_DELIMITED:
            length, position = _varint(message, position)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise IndexError(f"wire type {kind}")
        end = position + length
        if end > len(message):
            raise IndexError(f"field {number} ends {end - len(message)} bytes behind the end")
        yield _Field(number, start, position, end)
        position = end


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read seven bits a byte, lowest first, up to a byte below 128; returns the value and the position after it."""
    value = 0
    for shift in range(0, 70, 7):  # of 64 bits
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
    raise IndexError("a number of more than 64 bits")

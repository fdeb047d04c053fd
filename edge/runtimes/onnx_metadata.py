"""Reads an ONNX file's own metadata without the onnx package, which a board does not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinydet.edge.artifact import METADATA_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError

# Field numbers of onnx.proto, and of protobuf's wire format (protobuf.dev/programming-guides/encoding).
METADATA_PROPS = 14  # of ModelProto
KEY, VALUE = 1, 2  # of StringStringEntryProto
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


def read_onnx_metadata(path: Path) -> ArtifactMetadata:
    """What the ONNX artifact says about itself. Raises `InputError` when it is missing, damaged or says nothing."""
    if not path.is_file():
        raise InputError(f"artifact {path} does not exist")
    content = memoryview(path.read_bytes())
    try:
        for entry in _fields(content, METADATA_PROPS):
            key, value = (b"".join(_fields(entry, number)).decode() for number in (KEY, VALUE))
            if key == METADATA_KEY:
                return ArtifactMetadata.from_json(value)
    except (IndexError, UnicodeDecodeError) as error:
        raise InputError(f"cannot load {path}: not an ONNX model, or cut short") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    raise InputError(f"{path} carries no tinydet metadata: make artifacts with `tinydet export`")


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields of `message` that have the number `wanted`. Raises `IndexError` for what is none."""
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
    """Seven bits a byte, lowest first, until a byte below 128: the value, and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position

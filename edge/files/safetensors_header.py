"""The header of a safetensors file: names, types and shapes of its tensors, without loading them or their library.

A file is 8 bytes with the length of the header (little-endian), the header as JSON, and the tensors without gaps
(github.com/huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import parse_json
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.regular_file import MIB, MODEL_BYTES, open_file

HEADER_BYTES = 16 * MIB
"""Longest header; `r50` with its optimizer's state has 0.2 MB."""
MOST_DIMENSIONS = 16

ITEM_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
"""Type -> bytes of one number."""


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """One tensor of the file."""

    dtype: str
    """One of `ITEM_BYTES`."""
    shape: tuple[int, ...]
    begin: int
    """First byte, and the one after the last, counted from the end of the header."""
    end: int


@dataclass(frozen=True, kw_only=True)
class SafetensorsHeader:
    """Header of a safetensors file: its metadata and the place of each tensor."""

    tensors: Mapping[str, TensorEntry]
    """By name."""
    metadata: Mapping[str, str]
    """Free text by key."""


def read_header(
    path: Path | str, *, what: str = "checkpoint", dtypes: Collection[str] = tuple(ITEM_BYTES), fix: str = ""
) -> SafetensorsHeader:
    """Read and check the header of a safetensors file.

    Args:
        path: the file.
        what: its noun in error messages.
        dtypes: types that its tensors may have.
        fix: what to do, at the end of error messages.

    Raises:
        InputError: the file is missing, no regular file, or larger than `MODEL_BYTES`; the header is no JSON of
            tensors; a tensor has another type than `dtypes`, or a shape that does not fit its bytes; the tensors do not
            cover the file without gap and overlap (it is cut short).
    """
    then = f": {fix}" if fix else ""
    damaged = f"{what} {printable(path)} is damaged or no safetensors file"
    with open_file(path, what=what, limit_bytes=MODEL_BYTES, fix=fix) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or not 2 <= length <= min(HEADER_BYTES, size - 8):
            raise InputError(f"{damaged}: its header has {length} bytes, the file {size}{then}")
        text = file.read(length)
    content = parse_json(text.rstrip(b" "), source=damaged, fix=fix)
    if not isinstance(content, dict):
        raise InputError(f"{damaged}: its header is {shown(content)}, expected an object{then}")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{damaged}: __metadata__ is {shown(metadata)}, expected texts by key{then}")
    tensors = {}
    for name, value in content.items():
        entry = _entry(value)
        if entry is None:
            raise InputError(f"{damaged}: the tensor {shown(name)} is {shown(value)}{then}")
        if entry.dtype not in dtypes:
            raise InputError(
                f"{what} {printable(path)}: the tensor {shown(name)} has the type {entry.dtype}, "
                f"expected {' or '.join(dtypes)}{then}"
            )
        tensors[name] = entry
    position = 0
    for entry in sorted(tensors.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            raise InputError(f"{damaged}: its tensors overlap or leave a gap at byte {position}{then}")
        position = entry.end
    if position != size - 8 - length:
        raise InputError(f"{damaged}: its tensors have {position} bytes, the file {size - 8 - length}{then}")
    return SafetensorsHeader(tensors=tensors, metadata=metadata)


def _entry(value: Any) -> TensorEntry | None:
    """A tensor as the header describes it; None if it makes no sense."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        return None
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        return None
    if not _are_counts(shape) or not _are_counts(offsets):
        return None
    if len(offsets) != 2 or offsets[1] - offsets[0] != prod(shape) * ITEM_BYTES[dtype]:
        return None
    return TensorEntry(dtype=dtype, shape=tuple(shape), begin=offsets[0], end=offsets[1])


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_DIMENSIONS and all(type(n) is int and n >= 0 for n in value)

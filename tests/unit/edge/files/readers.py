"""Every reader of `tinydet.edge.files` with a good small file, for the tests that attack them all."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save

from tests.attack.variant import Good
from tinydet.edge.artifact import METADATA_KEY
from tinydet.edge.errors import InputError
from tinydet.edge.files import (
    images,
    json_file,
    regular_file,
    safetensors_header,
    text_file,
    toml_file,
    xml_file,
    yaml_file,
)
from tinydet.edge.files.zip_bytes import read_entry

ENTRY = f"{METADATA_KEY}.json"
DOCUMENT = {
    "schema_version": 1,
    "names": ["car", "person"],
    "scale": 0.5,
    "grid": {"levels": [{"scale": 1.0}]},
    "on": True,
}
XML = """<?xml version="1.0"?>
<annotation><object><name>car</name><bndbox><xmin>1</xmin><ymax>9</ymax></bndbox></object></annotation>
"""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A function that reads an outside file."""

    read: Callable[[Path], object]
    good: bytes
    kind: Good
    refuses: frozenset[str]
    """Kinds of variants that it refuses by itself; the rest is for whoever looks at what it returns."""


def _zipped() -> bytes:
    stream = io.BytesIO(b"\x1c\0\0\0TFL3 a model")
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(ENTRY, json.dumps(DOCUMENT))
    return stream.getvalue()


def _picture() -> bytes:
    return bytes(cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes())


def _tensors() -> bytes:
    weights = {"weight": np.ones((4, 2), np.float32), "bias": np.zeros(3, np.float32)}
    return save(weights, {METADATA_KEY: json.dumps(DOCUMENT)})


ALWAYS = frozenset({"not a file", "too large"})
DEPTH = frozenset({"deep nesting", "5000 digits"})
TEXT = ALWAYS | {"not UTF-8"}
NUMBERS = frozenset({"NaN", "infinity", "huge number", "huge integer"})

READERS: dict[str, Reader] = {
    "read_json": Reader(
        read=json_file.read_json,
        good=json.dumps(DOCUMENT).encode(),
        kind=Good(kind="json"),
        refuses=TEXT | DEPTH | NUMBERS | {"empty", "truncated", "zero-filled", "another kind"},
    ),
    "read_toml": Reader(
        read=toml_file.read_toml,
        good=b'schema_version = 1\nnames = ["car", "person"]\nscale = 0.5\n[grid]\nlevels = [{scale = 1.0}]\n',
        kind=Good(kind="toml"),
        refuses=TEXT | DEPTH | {"zero-filled", "another kind", "bomb"},
    ),
    "read_yaml": Reader(
        read=yaml_file.read_yaml,
        good=b"schema_version: 1\nnames: [car, person]\nscale: 0.5\ngrid:\n  levels:\n  - scale: 1.0\n",
        kind=Good(kind="yaml"),
        refuses=TEXT | DEPTH | {"huge number", "huge integer", "zero-filled", "another kind", "bomb", "tag"},
    ),
    "read_xml": Reader(
        read=xml_file.read_xml,
        good=XML.encode(),
        kind=Good(kind="xml"),
        refuses=TEXT
        | {"deep nesting", "empty", "truncated", "zero-filled", "another kind", "bomb", "path", "unknown encoding"},
    ),
    "read_text": Reader(read=text_file.read_text, good=b"0 0.5 0.5 0.1 0.1\n", kind=Good(kind="text"), refuses=TEXT),
    "read_lines": Reader(
        read=text_file.read_lines,
        good=b"0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n",
        kind=Good(kind="text"),
        refuses=TEXT | {"NUL bytes", "zero-filled", "another kind", "long line"},
    ),
    "read_table": Reader(
        read=lambda path: text_file.read_table(path, columns=("epoch", "AP")),
        good=b"epoch,AP,loss\n1,0.5,2.0\n2,0.6,1.0\n",
        kind=Good(kind="text"),
        refuses=TEXT | {"NUL bytes", "empty", "zero-filled", "another kind", "long line"},
    ),
    "read_header": Reader(
        read=lambda path: safetensors_header.read_header(path, dtypes=("F32", "I64")),
        good=_tensors(),
        kind=Good(kind="safetensors"),
        refuses=ALWAYS | {"empty", "truncated", "zero-filled", "another kind", "header", "wrong dtype"},
    ),
    "read_entry": Reader(
        read=lambda path: read_entry(regular_file.read_bytes(path), ENTRY, source=str(path)),
        good=_zipped(),
        kind=Good(kind="tflite"),
        refuses=ALWAYS | {"empty", "truncated", "zero-filled", "another kind", "ZIP", "bomb"},
    ),
    "read_image": Reader(
        read=images.read_image,
        good=_picture(),
        kind=Good(kind="image"),
        refuses=ALWAYS | {"empty", "truncated", "zero-filled", "another kind"},
    ),
    "read_bytes": Reader(read=regular_file.read_bytes, good=b"\x89PNG", kind=Good(kind="bytes"), refuses=ALWAYS),
    "check_file": Reader(read=regular_file.check_file, good=b"\x89PNG", kind=Good(kind="bytes"), refuses=ALWAYS),
    "file_sha256": Reader(read=regular_file.file_sha256, good=b"\x89PNG", kind=Good(kind="bytes"), refuses=ALWAYS),
}


def refusal(reader: Reader, path: Path) -> str | None:
    """The one line that `reader` refuses the file with; None if it takes it."""
    try:
        reader.read(path)
    except InputError as error:
        return str(error)
    return None

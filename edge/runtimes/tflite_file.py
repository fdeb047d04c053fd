"""A `.tflite` artifact as a file: the model, followed by a ZIP archive with its metadata.

TFLite Metadata attaches files to a model in this way: interpreters read the model from the front and ignore the rest,
and ZIP readers (`unzip -p x.tflite tinydet.json`) find the archive from the end. A truncated file has lost the archive,
so it is refused before an interpreter, which does not check, reads beyond its end. The comment of the archive's entry
(`zipinfo -z`) has the check sum of the model.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile, ZipInfo

from tinydet.edge.artifact import METADATA_KEY, WEIGHTS_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import read_bytes
from tinydet.edge.files.zip_bytes import read_entry
from tinydet.edge.runtimes.metadata import check_sum, check_weights, parse_metadata

MODEL_MARK = b"TFL3"  # bytes 4 to 7 of every TFLite file
ENTRY = f"{METADATA_KEY}.json"


class TfliteFile(NamedTuple):
    """A checked artifact. weights: check sum of `model`."""

    model: bytes
    metadata: ArtifactMetadata
    weights: str


def join(model: bytes, metadata: ArtifactMetadata) -> bytes:
    """The artifact as bytes; the same arguments give the same bytes."""
    archive = io.BytesIO(model)
    with ZipFile(archive, "a") as zip_file:
        info = ZipInfo(ENTRY, date_time=(1980, 1, 1, 0, 0, 0))
        info.comment = f"{WEIGHTS_KEY}={check_sum([model])}".encode()
        zip_file.writestr(info, metadata.to_json())
    return archive.getvalue()


def read_tflite(path: Path) -> TfliteFile:
    """Read an artifact.

    Raises:
        InputError: the file is missing, too large, no TFLite model, cut short or damaged, or its metadata is missing or
            contradictory.
    """
    content = read_bytes(path, what="artifact")
    if content[4:8] != MODEL_MARK:
        raise InputError(f"cannot load {printable(path)}: not a TFLite model")
    missing = f"{printable(path)} carries no tinydet metadata, or is cut short"
    entry = read_entry(content, ENTRY, source=missing, fix="make artifacts with `tinydet export`")
    model = content[: entry.offset]
    weights = check_sum([model])
    key, _, expected = entry.comment.decode(errors="replace").partition("=")
    check_weights(weights, expected if key == WEIGHTS_KEY else None, path)
    return TfliteFile(model, parse_metadata(entry.content, path), weights)

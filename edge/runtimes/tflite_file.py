"""A `.tflite` artifact as a file: the model, followed by a ZIP archive with its metadata.

TFLite Metadata attaches files to a model in this way: interpreters read the model from the front and ignore the rest,
and ZIP readers (`unzip -p x.tflite tinydet.json`) find the archive from the end. A truncated file has lost the archive,
so it is refused before an interpreter, which does not check, reads beyond its end.
"""

from __future__ import annotations

import io
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from tinydet.edge.artifact import METADATA_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.metadata import parse_metadata

MODEL_MARK = b"TFL3"  # bytes 4 to 7 of every TFLite file
ENTRY = f"{METADATA_KEY}.json"


def join(model: bytes, metadata: ArtifactMetadata) -> bytes:
    """The artifact as bytes; the same arguments give the same bytes."""
    archive = io.BytesIO(model)
    with ZipFile(archive, "a") as zip_file:
        zip_file.writestr(ZipInfo(ENTRY, date_time=(1980, 1, 1, 0, 0, 0)), metadata.to_json())
    return archive.getvalue()


def split(path: Path) -> tuple[bytes, ArtifactMetadata]:
    """The model and the metadata of an artifact.

    Raises:
        InputError: the file is missing, no TFLite model or cut short, or its metadata is missing or contradictory.
    """
    if not path.is_file():
        raise InputError(f"artifact {path} does not exist")
    content = path.read_bytes()
    if content[4:8] != MODEL_MARK:
        raise InputError(f"cannot load {path}: not a TFLite model")
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            model = content[: archive.getinfo(ENTRY).header_offset]
            text = archive.read(ENTRY).decode()
    except (BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} carries no tinydet metadata, or is cut short: make artifacts with `tinydet export`"
        ) from error
    return model, parse_metadata(text, path)

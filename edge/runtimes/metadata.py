"""The metadata text that an artifact carries, read with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError


def parse_metadata(text: str | None, path: Path) -> ArtifactMetadata:
    """The metadata of the artifact `path`; `text` is None where the file has none.

    Raises:
        InputError: there is none, it was written by a newer version, or a field is missing, unknown or contradictory.
    """
    if text is None:
        raise InputError(f"{path} carries no tinydet metadata: make artifacts with `tinydet export`")
    try:
        return ArtifactMetadata.from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error

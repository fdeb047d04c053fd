"""Settings of `tinydet detect`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import Range


@dataclass(frozen=True, kw_only=True)
class DetectSettings:
    """Settings from the command line and the --config file, by the names of the options."""

    model: str
    """Artifact, checkpoint or bundled model."""
    source: str
    """Name that `tinydet.open_source` opens."""
    save: str | None = None
    jsonl: str | None = None
    coco: str | None = None
    score: Annotated[float, Range(0, 1)] | None = None
    device: str | None = None
    threads: int | None = None
    classes: str | None = None
    slice: Literal["tiles", "full"] | None = None
    """tiles, or full: tiles and the frame as a whole."""
    track: bool = False
    serve: str | None = None
    mavlink: str | None = None
    camera: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and not value.strip():
                raise InputError(f"{field.name}: expected a value, got nothing")

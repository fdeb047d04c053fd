"""Settings of `tinydet detect`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tinydet.edge.commands.options import SLICINGS
from tinydet.edge.errors import InputError


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
    score: float | None = None
    device: str | None = None
    threads: int | None = None
    classes: str | None = None
    slice: str | None = None
    """tiles, or full: tiles and the frame as a whole."""
    track: bool = False
    serve: str | None = None
    mavlink: str | None = None
    camera: str | None = None

    def __post_init__(self) -> None:
        """Check values of a file, which do not pass the argument parser. Raises `InputError`."""
        from tinydet.edge.files.numbers import in_range, whole
        from tinydet.edge.runtimes.runtime import MOST_THREADS

        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and not value.strip():
                raise InputError(f"{field.name}: expected a value, got nothing")
        if self.score is not None:
            in_range(self.score, 0, 1, "score")
        if self.threads is not None:
            whole(self.threads, "threads", 1, MOST_THREADS)
        if self.slice not in (None, *SLICINGS):
            raise InputError(f"slice: expected {' or '.join(SLICINGS)}, got {self.slice!r}")

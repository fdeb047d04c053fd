"""A bad input: what it is called, how it is written, and whether a reader may take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A bad version of a good file."""

    kind: str
    """Kind of the fault: `NaN`, `truncated`."""
    name: str
    """Where or how, such as `annotations[0].bbox[2]`."""
    write: Callable[[Path], object]
    """Put it at a path where nothing is."""
    must_refuse: bool = True
    """False: a reader may take it too, as long as it does so in order."""


@dataclass(frozen=True, kw_only=True)
class Good:
    """A good file, and what in it may be anything. Patterns as in `fnmatch`, on names such as `images[0].id`."""

    kind: str
    """json, toml, yaml, xml, text, image, video, safetensors, onnx, tflite, ir (the .xml), bin or bytes."""
    free: tuple[str, ...] = ()
    """Fields that a reader does not look at."""
    optional: tuple[str, ...] = ()
    """Fields that may be missing or empty."""
    open: bool = False
    """Unknown keys are allowed."""
    may_be_missing: bool = False
    """The command does without it: one picture of a folder."""


def of_bytes(kind: str, name: str, content: bytes | Callable[[], bytes], *, must_refuse: bool = True) -> Variant:
    """A variant that is a file of these bytes, or of those that a function makes when it is written."""

    def write(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content())

    return Variant(kind=kind, name=name, write=write, must_refuse=must_refuse)

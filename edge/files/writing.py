"""Writing files so that an interrupted run leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError

RESERVE_BYTES = 32 << 20
"""Recordings leave that free on the disk: a file's end must still fit, and OpenCV does not say when a write fails."""


def writable_folder(path: Path | str) -> Path:
    """Make `path` a folder (parents too) and prove that a file can be written into it.

    Raises:
        InputError: it cannot be created or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write into folder {folder} ({error.strerror}): choose another output folder"
        ) from error
    return folder


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it takes the place of `path` when the block ends well.

    The sibling keeps the suffix of `path` (writers choose formats by it) and is deleted on any exception.

    Raises:
        InputError: the folder cannot be written, `path` is a folder, or the disk is full; the old file is then intact.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"cannot write file {target}: it is a folder")
    folder = writable_folder(target.parent)
    partial = folder / f".{target.stem}.{os.getpid()}-{os.urandom(4).hex()}.partial{target.suffix}"
    try:
        yield partial
        _flush_to_disk(partial)
        partial.replace(target)
        _flush_to_disk(folder)
    except OSError as error:
        raise InputError(
            f"cannot write {target} ({error.strerror or error}); what was there before is intact"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as indented JSON, atomically. NaN and infinity raise ValueError: JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

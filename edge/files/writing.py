"""Atomic writing: an interrupted run leaves the old file or the new one, never half of one."""

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
"""Space that recordings leave free: a file's end must still fit, and OpenCV does not report a write that failed."""


def writable_folder(path: Path | str) -> Path:
    """Create the folder `path` and its parents, and check that a file can be written into it.

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
    """Yield a temporary sibling of `path` to write to; it replaces `path` when the block ends without error.

    The sibling keeps the suffix of `path` (writers choose formats by it) and is deleted on any exception.

    Raises:
        InputError: the folder cannot be written, `path` is a folder, or the disk is full; the old file is kept.
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
            f"cannot write {target} ({error.strerror or error}); an older file of that name is kept"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as indented JSON, atomically. Raises ValueError for NaN and infinity, which JSON has not."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

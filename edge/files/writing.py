"""Atomic writing: an interrupted run leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.kernel_lock import is_locked
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.regular_file import can_be_path, kind_of

RESERVE_BYTES = 32 << 20
"""Space that recordings leave free: a file's end must still fit, and OpenCV does not report a write that failed."""


_LONGEST_NAME = 255
"""Bytes of a file's name in every file system of Linux."""
_LONGEST_STEM = 160
"""Bytes of a name that a temporary file keeps, so that its own is not too long."""
_PARTIAL = re.compile(r"\..*\.([0-9]+)-[0-9a-f]{8}\.partial(?:\..*)?", re.DOTALL)
_REUSED_S = 60.0
"""A temporary file of our own process number, but not ours, is left alone for so long: another container has it."""

_cleaned: set[Path] = set()
_own: set[Path] = set()


def writable_folder(path: Path | str) -> Path:
    """Create the folder `path` and its parents, and check that a file can be written into it.

    Temporary files that killed processes left there are removed.

    Raises:
        InputError: it cannot be created or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no folder can have this name"
        raise InputError(f"cannot write into folder {folder} ({reason}): choose another output folder") from error
    _remove_leftovers(folder)
    return folder


def check_target(path: Path | str) -> None:
    """Check that a file can be written under the name `path`, before any work is done.

    Raises:
        InputError: it is a folder, a pipe, a socket or a device, or no file can have this name.
    """
    kind = kind_of(path)
    if kind not in ("file", None):
        raise InputError(f"cannot write file {path}: it is a {kind}")
    if not can_be_path(path) or not 0 < len(os.fsencode(Path(path).name)) <= _LONGEST_NAME:
        raise InputError(f"cannot write file {shown(str(path))}: expected a name of 1 to {_LONGEST_NAME} bytes")


def check_room(folder: Path) -> None:
    """Check that the disk has `RESERVE_BYTES` left.

    Raises:
        InputError: it has not.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < RESERVE_BYTES:
        raise InputError(f"disk of {printable(folder)} is full ({free_bytes >> 20} MiB left): recording stopped")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it replaces `path` when the block ends without error.

    The sibling keeps the suffix of `path` (writers choose formats by it) and is deleted on any exception.

    Raises:
        InputError: as `check_target`, or the folder cannot be written, or the disk is full; the old file is kept.
    """
    target = Path(path)
    check_target(target)
    folder = writable_folder(target.parent)
    partial = temporary_name(folder / target.name)
    _own.add(partial)
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
        _own.discard(partial)


def temporary_name(target: Path) -> Path:
    """Hidden name beside `target`, which the next run removes if this process is killed; folders have to be locked."""
    suffix = target.suffix[: _LONGEST_STEM // 4]
    return target.with_name(f".{short_stem(target)}.{os.getpid()}-{os.urandom(4).hex()}.partial{suffix}")


def short_stem(target: Path) -> str:
    """First part of a name, such that more can be added to it."""
    return os.fsdecode(os.fsencode(target.stem)[:_LONGEST_STEM])


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as indented JSON, atomically. Raises ValueError for NaN and infinity, which JSON has not."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of dead processes, once per folder and process."""
    folder = folder.resolve()
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    for file in folder.iterdir():
        match = _PARTIAL.fullmatch(file.name)
        with suppress(OSError):  # another process removed it, or it is another user's
            if match is not None and file not in _own and not _is_in_use(file, int(match[1])):
                shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()


def _is_in_use(partial: Path, process: int) -> bool:
    if partial.is_dir() and not partial.is_symlink() and is_locked(partial):
        return True
    if process == os.getpid():
        return time.time() - partial.stat().st_mtime < _REUSED_S
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # alive, and another user's
        pass
    return True


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

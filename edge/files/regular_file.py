"""Outside files as bytes: regular files of a bounded size, never a pipe or a device that would wait or never end."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable

MIB = 1 << 20
MODEL_BYTES = 1024 * MIB
"""Largest model file that is read; `r50` in float has 150 MB."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def kind_of(path: Path | str) -> str | None:
    """Return the kind of `path`: file, folder, named pipe, socket or device; None if it does not exist.

    Unlike `Path.exists` it raises nothing for a name that is too long, holds a NUL byte, or is no text.
    """
    try:
        return _KINDS.get(stat.S_IFMT(Path(path).stat().st_mode))
    except (OSError, ValueError):
        return None


def can_be_path(name: Path | str) -> bool:
    """Whether a file can have this name: it is not blank, holds no NUL byte, and is text."""
    try:
        return bool(str(name).strip()) and b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def utf8_name(path: Path | str) -> str:
    """`path` as text for a library that crashes on other text, as OpenCV does.

    Raises:
        InputError: the name is not UTF-8.
    """
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{printable(name)}: expected a name in UTF-8: rename the file or folder") from error
    return name


def open_file(path: Path | str, *, what: str = "file", limit_bytes: int, fix: str = "") -> BufferedReader:
    """Open a regular file of at most `limit_bytes` for reading.

    Args:
        path: the file.
        what: its noun in error messages, such as `image` or `artifact`.
        limit_bytes: largest size.
        fix: what to do, at the end of error messages.

    Raises:
        InputError: it does not exist, is not a regular file, is too large, or cannot be opened.
    """
    try:
        # Looked at before it is opened, which can already change something: a watchdog device starts to count.
        kind = kind_of(path)
        if kind not in ("file", None):
            raise IsADirectoryError(0, f"expected a file, got a {kind}")
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb")
    except FileNotFoundError as error:
        raise InputError(f"{what} {printable(path)} does not exist{_then(fix)}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {what} {printable(path)}: {_reason(error)}{_then(fix)}") from error
    size = os.fstat(file.fileno()).st_size
    if size > limit_bytes:
        file.close()
        problem = f"expected at most {_size(limit_bytes)}, got {_size(size)}"
        raise InputError(f"cannot read {what} {printable(path)}: {problem}{_then(fix)}")
    return file


def check_file(path: Path | str, *, what: str = "file", fix: str = "") -> int:
    """Check a file that a library opens by its path; gives its size in bytes. Arguments and errors: `open_file`."""
    with open_file(path, what=what, limit_bytes=MODEL_BYTES, fix=fix) as file:
        return os.fstat(file.fileno()).st_size


def read_bytes(path: Path | str, *, what: str = "file", limit_bytes: int = MODEL_BYTES, fix: str = "") -> bytes:
    """Read a whole file. Arguments and errors: `open_file`; an `InputError` also when the disk or the memory fails."""
    with open_file(path, what=what, limit_bytes=limit_bytes, fix=fix) as file:
        try:
            return file.read(os.fstat(file.fileno()).st_size)
        except (OSError, MemoryError) as error:
            raise InputError(f"cannot read {what} {printable(path)}: {_reason(error)}{_then(fix)}") from error


def file_sha256(path: Path | str, *, what: str = "file", limit_bytes: int = MODEL_BYTES) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces. Arguments and errors: `open_file`."""
    import hashlib

    digest = hashlib.sha256()
    with open_file(path, what=what, limit_bytes=limit_bytes) as file:
        try:
            for piece in iter(lambda: file.read(MIB), b""):
                digest.update(piece)
        except OSError as error:
            raise InputError(f"cannot read {what} {printable(path)}: {_reason(error)}") from error
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "no file can have this name"  # ValueError: a NUL byte, or half a surrogate pair


def _size(count: int) -> str:
    return f"{count / MIB:.1f} MiB" if count >= MIB else f"{count} bytes"


def _then(fix: str) -> str:
    return f": {fix}" if fix else ""

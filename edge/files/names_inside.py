"""File names that stand in outside files: they lead to files below one folder, or are refused."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown

_LONGEST_PART = 255
"""Bytes of a name in every file system of Linux."""
_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def check_name(name: str, *, source: str) -> PurePosixPath:
    """Check that `name` is a relative path that stays below the folder it is taken from, without looking at files.

    Raises:
        InputError: `name` is empty, absolute, has a `..`, a NUL byte or a part of more than 255 bytes.
    """
    path = PurePosixPath(name)
    problem = None
    if not name.strip() or path == PurePosixPath():
        problem = "is no file name"
    elif path.is_absolute() or _WINDOWS_DRIVE.match(name):
        problem = "is absolute"
    elif ".." in path.parts or ".." in name.split("\\"):
        problem = "leads out of the folder"
    elif "\0" in name:
        problem = "holds a NUL byte"
    elif max(len(part.encode("utf-8", "surrogatepass")) for part in path.parts) > _LONGEST_PART:
        problem = f"has more than {_LONGEST_PART} bytes"
    if problem is not None:
        raise InputError(f"{source}: the file name {shown(name)} {problem}: expected one below the folder of the file")
    return path

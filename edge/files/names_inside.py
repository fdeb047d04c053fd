"""File names that stand in outside files: they lead to files below one folder, or are refused."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown

_LONGEST_PART = 255
"""Bytes of a name in every file system of Linux."""
_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class NamesInside:
    """Resolves names that stand in one outside file.

    Args:
        folder: they lead to files below this folder.
        source: begins error messages: the file that holds the names.
        allow_links: a name may be a link that leads out of the folder, as in data sets made of links.
    """

    def __init__(self, folder: Path | str, *, source: str, allow_links: bool = False) -> None:
        self._folder = Path(folder)
        self._source = source
        self._allow_links = allow_links
        self._inside: dict[Path, bool] = {}

    def path(self, name: str) -> Path:
        """The file that `name` leads to, which need not exist.

        Raises:
            InputError: `name` is empty, absolute, has a `..`, a NUL byte or a part of more than 255 bytes, or leads out
                of the folder over a link.
        """
        path = self._folder / check_name(name, source=self._source)
        if not self._allow_links and not self._is_inside(path):
            raise InputError(f"{self._source}: {shown(name)} is a link that leads out of {self._folder}")
        return path

    def _is_inside(self, path: Path) -> bool:
        """Folders are looked at once: a data set has a hundred thousand files in a few of them."""
        if path.is_symlink():
            return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._folder))
        parent = path.parent
        if parent == self._folder:
            return True
        if parent not in self._inside:
            self._inside[parent] = self._is_inside(parent)
        return self._inside[parent]


def check_name(name: str, *, source: str) -> PurePosixPath:
    """Check that `name` is a relative path that stays below the folder it is taken from, without looking at files.

    Raises:
        InputError: see `NamesInside.path`.
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

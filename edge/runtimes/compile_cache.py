"""Cache folders: models that runtimes compiled, and which models were tried, so that the next start is faster."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import writable_folder

MAX_BYTES = 256 << 20
"""Size limit of each runtime's folder. An artifact takes 4 to 13 MB, and every new export another one."""


def cache_folder(name: str) -> Path | None:
    """The cache folder `tinydet/NAME` in $XDG_CACHE_HOME or ~/.cache; None if it cannot be written (no cache then).

    Its oldest files are removed until the rest takes no more than `MAX_BYTES`.
    """
    try:
        folder = writable_folder(_base() / name)
    except (RuntimeError, InputError):  # no home; no place in it
        return None
    with suppress(OSError):  # another process may be pruning it too
        _prune(folder)
    return folder


class Tried:
    """Remembers in the cache that a model ran here and gave numbers, so that it need not be tried at each start.

    key: identifies the weights and the runtime.
    """

    def __init__(self, *key: object) -> None:
        self._name = hashlib.sha256(repr(key).encode()).hexdigest()[:32]

    def __bool__(self) -> bool:
        try:
            return (_base() / "tried" / self._name).exists()
        except (RuntimeError, OSError):  # no home; no access
            return False

    def remember(self) -> None:
        """From now on this is true, where the cache can be written."""
        folder = cache_folder("tried")
        if folder is not None:
            with suppress(OSError):
                (folder / self._name).touch()


def _base() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinydet"


def _prune(folder: Path) -> None:
    kept_bytes = 0
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        kept_bytes += path.stat().st_size
        if kept_bytes > MAX_BYTES and path.is_file():
            path.unlink()

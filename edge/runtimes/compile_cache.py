"""Cache folders for models that runtimes compiled, so that the next start is faster."""

from __future__ import annotations

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
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = writable_folder(base / "tinydet" / name)
    except (RuntimeError, InputError):  # no home; no place in it
        return None
    with suppress(OSError):  # another process may be pruning it too
        _prune(folder)
    return folder


def _prune(folder: Path) -> None:
    kept_bytes = 0
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        kept_bytes += path.stat().st_size
        if kept_bytes > MAX_BYTES and path.is_file():
            path.unlink()

"""Where runtimes keep what they compiled, so that the next start is faster."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files import writable_folder

MAX_BYTES = 256 << 20
"""Of each of them. An artifact takes 4 to 13 MB, and every new export another one."""


def cache_folder(name: str) -> Path | None:
    """`tinydet/NAME` in $XDG_CACHE_HOME or ~/.cache; None where nothing can be written: then there is no cache.

    What was written first there is removed, until the rest takes no more than `MAX_BYTES`.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = writable_folder(base / "tinydet" / name)
    except (RuntimeError, InputError):  # no home; no place in it
        return None
    with suppress(OSError):  # another process tidies too
        _prune(folder)
    return folder


def _prune(folder: Path) -> None:
    kept_bytes = 0
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        kept_bytes += path.stat().st_size
        if kept_bytes > MAX_BYTES and path.is_file():
            path.unlink()

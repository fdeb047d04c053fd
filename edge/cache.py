"""Where runtimes keep what they compiled, so that the next start is faster."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import InputError
from edge.files import writable_folder


def cache_folder(name: str) -> Path | None:
    """`tinydet/NAME` in $XDG_CACHE_HOME or ~/.cache; None where nothing can be written: then there is no cache."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return writable_folder(base / "tinydet" / name)
    except (RuntimeError, InputError):  # no home; no place in it
        return None

"""Text of the kernel's files in /proc and /sys, which come and go with the hardware."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """Text of a file without surrounding white space; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

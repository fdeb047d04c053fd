"""Weights that ship with tinydet. Each `<size>.safetensors` has a card `<size>.md` beside it."""

from __future__ import annotations

from pathlib import Path


def bundled(size: str) -> Path | None:
    """The bundled checkpoint of `size`, None if there is none."""
    path = Path(__file__).parent / f"{size}.safetensors"
    return path if path.exists() else None


def n_path() -> Path:
    """The bundled `n`."""
    return Path(__file__).parent / "n.safetensors"


def s_path() -> Path:
    """The bundled `s`."""
    return Path(__file__).parent / "s.safetensors"

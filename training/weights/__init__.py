"""Weights that ship with tinydet. Each `<size>.safetensors` has a card `<size>.md` beside it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def n_path() -> Path:
    """The bundled `n`."""
    return FOLDER / "n.safetensors"

"""Bundled checkpoints: each `<size>.safetensors` has a card `<size>.md` beside it.

tinydet's wheel leaves the checkpoints out, because boards run artifacts; `tinydet-weights` (pyproject.toml here) brings
them.
"""

from __future__ import annotations

from pathlib import Path

from tinydet.edge.errors import InputError


def bundled(size: str) -> Path | None:
    """The bundled checkpoint of `size`, None if there is none."""
    path = Path(__file__).parent / f"{size}.safetensors"
    return path if path.exists() else None


def n_path() -> Path:
    """The bundled `n`; raises `InputError` where it is not installed."""
    return _installed("n")


def s_path() -> Path:
    """The bundled `s`; raises `InputError` where it is not installed."""
    return _installed("s")


def _installed(size: str) -> Path:
    path = bundled(size)
    if path is None:
        raise InputError(
            f"the bundled checkpoint {size} is not installed: pip install tinydet-weights (on a workstation; a board "
            f"runs artifacts, made by `tinydet export {size}`)"
        )
    return path

"""Bundled checkpoints: each `<size>.safetensors` has a card `<size>.md` beside it.

tinydet's wheel leaves the checkpoints out, because boards run artifacts; `tinydet-weights` (pyproject.toml here) brings
them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tinydet.edge.errors import InputError


def bundled(size: str) -> Path | None:
    """The bundled checkpoint of `size`, None if there is none."""
    path = Path(__file__).parent / f"{size}.safetensors"
    return path if path.exists() else None


def installed(size: str) -> Path:
    """The bundled checkpoint of `size`; raises `InputError` if `tinydet-weights` is not installed."""
    path = bundled(size)
    if path is None:
        raise InputError(
            f"the bundled checkpoint {size} is not installed: pip install tinydet-weights (on a workstation; a board "
            f"runs artifacts, made by `tinydet export {size}`)"
        )
    return path


n_path, s_path = partial(installed, "n"), partial(installed, "s")  # the entry points `tinydet.models`

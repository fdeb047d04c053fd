"""Bundled checkpoints: `<size>.safetensors`, with a model card `<size>.md` beside each.

Checkpoints ship in the package `tinydet-weights` (pyproject.toml here), not in tinydet's wheel: boards run artifacts.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tinydet.edge.errors import InputError


def bundled_checkpoint(size: str) -> Path | None:
    """Path of the bundled checkpoint of `size`, None if there is none."""
    path = Path(__file__).parent / f"{size}.safetensors"
    return path if path.exists() else None


def installed(size: str) -> Path:
    """Path of the bundled checkpoint of `size`; raises `InputError` if it is not installed."""
    path = bundled_checkpoint(size)
    if path is None:
        raise InputError(
            f"the bundled checkpoint {size} is not installed: pip install tinydet-weights (on a workstation; a board "
            f"runs artifacts, made by `tinydet export {size}`)"
        )
    return path


n_path, s_path = partial(installed, "n"), partial(installed, "s")  # the entry points `tinydet.models`

"""Checks of the files that `tinydet detect` writes, before it opens anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown
from tinydet.edge.files.regular_file import can_be_path, kind_of


def check_outputs(
    save: str | None, jsonl: str | None, coco: str | None, *, inputs: Mapping[str, Path | str | None]
) -> None:
    """Check that every output has a file or folder of its own, which is none of the inputs.

    Raises:
        InputError: an output is `-`, has the wrong ending, cannot be a file, or is another output or an input.
    """
    files = {"--jsonl": jsonl, "--coco": coco}
    for option, name in {"--save": save, **files}.items():
        if name == terminal.STDOUT:
            raise InputError(f"{option} -: cannot write to standard output: name a file")
        if name is not None and not can_be_path(name):
            raise InputError(f"{option}: no file or folder can have the name {shown(name)}")
    terminal.check_json_target(jsonl, "--jsonl", (".jsonl", ".json"))
    terminal.check_json_target(coco, "--coco")
    taken = {name: Path(path) for name, path in {**inputs, "--save": save}.items() if path is not None}
    for option, name in files.items():
        if name is None:
            continue
        path = Path(name)
        for other, its_path in taken.items():
            if _is_same(path, its_path):
                raise InputError(f"{option} {path} is also {other}: name another file")
        if save is not None and _is_inside(Path(save), path):
            raise InputError(f"--save {save} is inside {option} {path}, a file: name another folder")
        taken[option] = path
    if save is not None and kind_of(save) not in ("folder", None):
        raise InputError(f"--save {save}: expected a folder, got a {kind_of(save)}")


def _is_same(first: Path, second: Path) -> bool:
    """One file under two names counts too."""
    try:
        return first.resolve() == second.resolve() or (first.exists() and second.exists() and first.samefile(second))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return False


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return folder.resolve() in path.resolve().parents
    except (OSError, ValueError, RuntimeError):
        return False

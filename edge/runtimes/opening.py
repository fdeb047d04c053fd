"""Opening a model: which file a name stands for, and which runtime runs it."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.runtimes.runtime import DEVICES, Runtime

RUNTIME_GROUP = "tinydet.runtimes"
MODEL_GROUP = "tinydet.models"


def open_runtime(model: str | Path, *, threads: int | None = None, device: str | None = None) -> Runtime:
    """Load a model: an artifact or checkpoint file (its suffix says what runs it), or the name of a bundled size.

    `threads` and `device`: see `Runtime.open`.

    Raises:
        InputError: nothing of that name exists, no runtime knows its suffix, or the file is unusable (`Runtime.open`).
            There is no silent fallback to another device.
        MissingExtraError: the runtime's package is not installed.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads: expected 1 or more, got {threads}")
    if device is not None and device not in DEVICES:
        raise InputError(f"device: expected one of {', '.join(DEVICES)}, got {device}")
    path = model_path(model)
    if path.suffix not in {f".{name}" for name in runtime_endings()}:
        endings = ", ".join(f".{name}" for name in runtime_endings())
        raise InputError(f"cannot run {path}: expected a file ending in {endings}")
    return runtime_class(path.suffix[1:]).open(path, threads=threads, device=device)


def runtime_endings() -> list[str]:
    """Endings of model files, without the dot, that the installed packages know a runtime for."""
    return sorted(entry.name for entry in entry_points(group=RUNTIME_GROUP))


def runtime_class(ending: str) -> type[Runtime]:
    """What runs files of that ending, one of `runtime_endings()`.

    Raises:
        MissingExtraError: the runtime's package is not installed.
    """
    entries = {entry.name: entry for entry in entry_points(group=RUNTIME_GROUP)}
    try:
        found: type[Runtime] = entries[ending].load()
    except ModuleNotFoundError as error:
        missing_extra = MissingExtraError.of(error)
        if missing_extra is None:
            raise
        raise missing_extra from error
    return found


def model_path(model: str | Path) -> Path:
    """The file of `model`: itself, or the checkpoint that belongs to the name of a bundled size.

    Raises:
        InputError: there is no such file, and no bundled size has that name.
    """
    path = Path(model)
    if path.is_file():
        return path
    bundled = {entry.name: entry for entry in entry_points(group=MODEL_GROUP)}
    if str(model) in bundled:
        resolve: Any = bundled[str(model)].load()
        return Path(resolve())
    names = ", ".join(sorted(bundled))
    raise InputError(f"model {model} does not exist: expected a file, or a bundled size ({names})")

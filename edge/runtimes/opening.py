"""Open a model: find the file that a name stands for, and the runtime for its suffix."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.files.numbers import whole
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import kind_of
from tinydet.edge.runtimes.compile_cache import Tried
from tinydet.edge.runtimes.runtime import MOST_THREADS, Runtime

RUNTIME_GROUP = "tinydet.runtimes"
MODEL_GROUP = "tinydet.models"


def open_runtime(model: str | Path, *, threads: int | None = None, device: str | None = None) -> Runtime:
    """Load a model: an artifact or checkpoint file, whose suffix selects the runtime, or the name of a bundled size.

    `threads` and `device` are those of `Runtime.open`; it never falls back to another device.

    Raises:
        InputError: there is no such file or size, no runtime for its suffix, or the file is unusable (`Runtime.open`).
        MissingExtraError: the runtime's package is not installed.
    """
    if threads is not None:
        threads = whole(threads, "threads", 1, MOST_THREADS)
    installed = _installed()
    path = _find(model, installed)
    if path.suffix[1:] not in installed.runtimes:
        endings = ", ".join(f".{ending}" for ending in sorted(installed.runtimes))
        raise InputError(f"cannot run {path}: expected a file ending in {endings}")
    runtime = _load(installed.runtimes[path.suffix[1:]]).open(path, threads=threads, device=device)
    try:
        _try_once(runtime)
    except InputError as error:
        runtime.close()
        raise InputError(f"cannot use {path}: {error}") from error
    return runtime


def _try_once(runtime: Runtime) -> None:
    """Run one image, unless the same weights ran in the same runtime before: the cache remembers it."""
    if not runtime.fingerprint:
        return
    metadata = runtime.metadata
    tried = Tried(runtime.fingerprint, runtime.name, runtime.provider, metadata.input_hw, metadata.output_shapes)
    if not tried:
        runtime.try_one_image()
        tried.remember()


class _Installed(NamedTuple):
    """Entry points of the installed packages, by name; to look for them takes as long as to open a TFLite file."""

    runtimes: dict[str, EntryPoint]
    models: dict[str, EntryPoint]


def _installed() -> _Installed:
    found = entry_points()
    groups = (found.select(group=group) for group in (RUNTIME_GROUP, MODEL_GROUP))
    return _Installed(*({entry.name: entry for entry in group} for group in groups))


def runtime_endings() -> list[str]:
    """Endings of model files, without the dot, for which the installed packages have a runtime."""
    return sorted(_installed().runtimes)


def runtime_class(ending: str) -> type[Runtime]:
    """The runtime for files of that ending, one of `runtime_endings()`.

    Raises:
        MissingExtraError: the runtime's package is not installed.
    """
    return _load(_installed().runtimes[ending])


def _load(entry: EntryPoint) -> type[Runtime]:
    try:
        found: type[Runtime] = entry.load()
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error) or error from error
    return found


def model_path(model: str | Path) -> Path:
    """The file of `model`: the path itself, or the checkpoint of a bundled size.

    Raises:
        InputError: there is no such file, and no bundled size has that name.
    """
    return _find(model, _installed())


def _find(model: str | Path, installed: _Installed) -> Path:
    path = Path(model)
    kind = kind_of(path) if str(model).strip() else None
    if kind == "file":
        return path
    if str(model) in installed.models:
        resolve: Any = installed.models[str(model)].load()
        return Path(resolve())
    names = ", ".join(sorted(installed.models))
    if kind is not None:
        raise InputError(f"model {printable(path)} is a {kind}: expected a file, or a bundled size ({names})")
    raise InputError(f"model {printable(model)} does not exist: expected a file, or a bundled size ({names})")

"""Runs a function in a fresh Python process, so that its memory, its start and its crash are its own.

Call and result travel through files, because native libraries write to stdout and stderr as they like. Modules are
found as in this process, except in the current folder: a user's `statistics.py` or `edge/` there must not shadow any.
"""

from __future__ import annotations

import logging
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import tinydet
from tinydet.edge.errors import InputError
from tinydet.edge.files.folders import temporary_folder

Result = TypeVar("Result")

_CALL, _RESULT, _STDERR = "call.pickle", "result.pickle", "stderr.txt"
_PROGRAM = "import sys; sys.path[:] = {paths!r}; from tinydet.boards import fresh_process as f; f.run_call({folder!r})"

_logger = logging.getLogger(__name__)


def run_in_fresh_process(
    function: Callable[..., Result], *arguments: object, about: str = "its process", timeout_s: float | None = None
) -> Result:
    """Run `function(*arguments)` in a new process and return its result.

    Args:
        function: importable by its module's name.
        arguments: picklable, as is the result.
        about: names the process in errors.
        timeout_s: seconds after which the process is killed; None: never.

    Raises:
        InputError: the function raised it, or its process was killed or took too long.
        RuntimeError: the function raised something else; the message ends with its traceback.
        OSError: no process can be started here.
    """
    with temporary_folder() as folder:
        with (folder / _CALL).open("wb") as file:
            pickle.dump((function, arguments), file, pickle.HIGHEST_PROTOCOL)
        program = _PROGRAM.format(paths=_module_paths(), folder=str(folder))
        with (folder / _STDERR).open("wb") as stderr:
            try:
                code = subprocess.run(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    timeout=timeout_s,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise InputError(f"{about} gave no result within {timeout_s:.0f} s") from error
        written = (folder / _STDERR).read_text(encoding="utf-8", errors="replace").strip()
        if code < 0:
            out_of_memory = " (out of memory?)" if code == -signal.SIGKILL else ""
            raise InputError(f"{about} was ended by {signal.Signals(-code).name}{out_of_memory}")
        if code or not (folder / _RESULT).is_file():
            raise RuntimeError(f"{about} ended with exit code {code} and no result\n{written}".strip())
        result: Result | InputError = pickle.loads((folder / _RESULT).read_bytes())
    if written:
        _logger.debug("stderr of %s: %s", about, written)
    if isinstance(result, InputError):
        raise result
    return result


def run_call(folder: str) -> None:
    """Run the call in `folder` and write its result there; the new process does only this."""
    function, arguments = pickle.loads(Path(folder, _CALL).read_bytes())
    result: object
    try:
        result = function(*arguments)
    except InputError as error:
        result = InputError(str(error))
    Path(folder, _RESULT).write_bytes(pickle.dumps(result, pickle.HIGHEST_PROTOCOL))


def _module_paths() -> list[str]:
    """Return `sys.path`, absolute and without the current folder, unless that holds this package."""
    home, current = Path(tinydet.__file__).resolve().parents[1], Path.cwd()
    paths = [Path(entry).absolute() for entry in sys.path]
    return [str(path) for path in paths if path.resolve() == home or path.resolve() != current]

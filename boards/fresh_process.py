"""Calls a function in a fresh process: its memory, its start and its crash are then nobody else's.

The call and its result travel through files, because runtimes write what they like to stdout.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tinydet.edge.errors import InputError

Result = TypeVar("Result")

_CALL, _RESULT = "call.pickle", "result.pickle"


def call_in_child(function: Callable[..., Result], *arguments: object, about: str) -> Result:
    """`function(*arguments)`; function, arguments and result must be picklable. `about` names it in errors.

    Raises:
        InputError: the function raised it, or the process was killed by a signal.
        RuntimeError: the function failed otherwise; its traceback is on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="tinydet-") as name:
        folder = Path(name)
        with (folder / _CALL).open("wb") as file:
            pickle.dump((function, arguments), file, pickle.HIGHEST_PROTOCOL)
        code = subprocess.run(
            [sys.executable, "-m", "tinydet.boards.fresh_process", name], stdout=subprocess.DEVNULL, check=False
        ).returncode
        if code < 0:
            raise InputError(f"{about}: its process was ended by {signal.Signals(-code).name} (out of memory?)")
        if code:
            raise RuntimeError(f"{about}: its process ended with exit code {code}")
        result: Result | InputError = pickle.loads((folder / _RESULT).read_bytes())
    if isinstance(result, InputError):
        raise result
    return result


def main(folder: Path) -> None:
    """In the child: do the call that lies in `folder`."""
    with (folder / _CALL).open("rb") as file:
        function, arguments = pickle.load(file)
    result: object
    try:
        result = function(*arguments)
    except InputError as error:
        result = InputError(str(error))
    (folder / _RESULT).write_bytes(pickle.dumps(result, pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)

"""Compiles models for Intel NPUs.

Intel ships the compiler with OpenVINO for Windows only, so it runs under Wine, driven by `compile.c`; `setup.sh` sets
both up. It needs no NPU, and shows only that the compiler accepts a model, and the size of the result.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import atomic_path

#: NPU_PLATFORM -> the processors that have it.
PLATFORMS = {"3720": "Meteor Lake, Arrow Lake", "4000": "Lunar Lake", "5010": "Panther Lake"}
TIME_LIMIT_S = 600.0

_DEBIAN_WINE = "/usr/lib/wine/wine64"  # where Debian's package wine64 puts it, outside PATH
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class RefusedError(Exception):
    """The compiler refused a model; `messages` has its output."""

    def __init__(self, messages: str) -> None:
        super().__init__(messages.rpartition("\n")[2])
        self.messages = messages


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled model."""

    blob_bytes: int
    """Size of the file that an NPU would load."""
    seconds: float
    """Duration, start of Wine included."""
    messages: str
    """Output of the compiler."""


class NpuCompiler:
    """The compiler in `folder`, where `setup.sh` put it.

    Raises:
        InputError: Wine is not installed, or the folder holds no compiler.
    """

    def __init__(self, folder: Path) -> None:
        wine = shutil.which("wine64") or shutil.which("wine") or shutil.which(_DEBIAN_WINE)
        if wine is None:
            raise InputError("no Wine: `make verify-npu` installs it")
        self._program = folder.resolve() / "files/openvino/libs/compile.exe"
        if not self._program.is_file():
            raise InputError(f"no NPU compiler in {folder}: `make verify-npu` sets it up")
        self._wine = wine
        quiet = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}  # no offer to install .NET and a browser
        self._environment = {**os.environ, **quiet, "WINEPREFIX": str(folder.resolve() / "wine")}

    def compile(self, model: Path, blob: Path, *, platform: str) -> Compiled:
        """Compile `model` (.onnx or .xml) at batch 1 for one of `PLATFORMS` into the file `blob`.

        Raises:
            RefusedError: the compiler refused it, or took longer than `TIME_LIMIT_S`.
        """
        start = time.perf_counter()
        with atomic_path(blob) as partial:
            command = [self._wine, str(self._program), _windows_path(model), _windows_path(partial), platform]
            try:
                process = subprocess.run(
                    command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=TIME_LIMIT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise RefusedError(f"{_text(error.stdout)}\nstopped after {TIME_LIMIT_S:.0f} s".lstrip()) from error
            messages = _text(process.stdout)
            if process.returncode or not partial.is_file():
                raise RefusedError(messages or f"exit code {process.returncode}, no output")
            blob_bytes = partial.stat().st_size
        return Compiled(blob_bytes=blob_bytes, seconds=time.perf_counter() - start, messages=messages)


def _windows_path(path: Path) -> str:
    """Wine shows the whole file system as drive Z."""
    return f"Z:{path.resolve()}"


def _text(output: bytes | None) -> str:
    return _COLOURS.sub("", (output or b"").decode(errors="replace").replace("\r\n", "\n")).strip()

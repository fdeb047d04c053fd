"""What runs a model: one abstract runtime, one file per runtime, each runtime imported inside its own file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact import ArtifactMetadata
from edge.errors import InputError, MissingExtraError

DEVICES = ("cpu", "gpu", "npu", "tensorrt")
"""What computes: the CPU, a graphics processor, Intel's neural processor, or NVIDIA's GPU through TensorRT."""

RUNTIME_GROUP = "tinydet.runtimes"
MODEL_GROUP = "tinydet.models"


class Runtime(ABC):
    """A loaded model, ready to run."""

    metadata: ArtifactMetadata
    """What the model file says about itself."""
    name: str
    """The runtime and its version, for example `onnxruntime 1.31.1`."""
    device: str
    """What computes, for example `AMD EPYC`."""
    provider: str
    """The runtime's back end that really runs, for example `CPUExecutionProvider`."""
    parallel: int = 1
    """How many submissions are worth having under way at a time."""
    _worker: ThreadPoolExecutor | None = None
    _finished = False

    @classmethod
    @abstractmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> Runtime:
        """Load the model file.

        threads: of the CPU, at most; None leaves it to the runtime.
        device: one of `DEVICES`, which then runs every operator; None takes the first of `devices()`.

        Raises:
            InputError: the file is missing, damaged, carries no or contradictory metadata, or would run elsewhere than
                asked for.
        """

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Those of `DEVICES` that the installed package brings, its usual one first.

        That one is listed says nothing of whether it works here.
        """
        return ("cpu",)

    @abstractmethod
    def infer(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run (N, H, W, 3) uint8 RGB of the model's input size.

        Returns the raw outputs level by level, logits (N, h, w, classes) then distances (N, h, w, 4): `edge.decoding`.
        """

    def submit(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> Future[list[npt.NDArray[np.float32]]]:
        """`infer` without waiting; what it raises is raised by the future's `result`.

        The images must stay as they are until it is done; the results belong to the caller.
        """
        if self._finished:
            raise ValueError("this runtime was closed")
        if self._worker is None:
            self._worker = ThreadPoolExecutor(self.parallel, thread_name_prefix="infer")
        return self._worker.submit(self.infer, images_nhwc_u8)

    def finish(self) -> None:
        """Wait for what was submitted and take nothing more. Part of every `close`."""
        self._finished = True
        if self._worker is not None:
            self._worker.shutdown(wait=True)
            self._worker = None

    def check_images(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> None:
        """Raises `ValueError` unless `infer` can take them."""
        height, width = self.metadata.input_hw
        if images_nhwc_u8.dtype != np.uint8 or images_nhwc_u8.shape[1:] != (height, width, 3):
            raise ValueError(
                f"images: expected uint8 (N, {height}, {width}, 3), got {images_nhwc_u8.dtype} {images_nhwc_u8.shape}"
            )

    @abstractmethod
    def close(self) -> None:
        """Wait for what is under way, then give memory and threads back. The runtime cannot be used afterwards."""

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


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


def check_device(path: Path, device: str | None, known: Sequence[str], runtime: str) -> None:
    """Raises `InputError` where a `device` is asked for that `runtime` does not know."""
    if device is not None and device not in known:
        raise InputError(f"cannot run {path} on {device}: {runtime} computes on {', '.join(known)}")


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

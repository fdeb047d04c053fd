"""`Runtime`: a loaded model on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

DEVICES = ("cpu", "gpu", "npu", "tensorrt")
"""What computes: the CPU, a graphics processor, Intel's neural processor, or NVIDIA's GPU through TensorRT."""


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
    _starting = Lock()  # one for all runtimes, held for the moment in which a worker is started or ended

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

        Returns the raw outputs level by level, logits (N, h, w, classes) then distances (N, h, w, 4), as
        edge/detection/decoding.py takes them; they belong to the caller. Any number of threads may call it at once.
        """

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `function`, usually `infer`, in one of `parallel` threads that belong to the runtime.

        Raises:
            ValueError: the runtime was closed. Errors of `function` are raised by the future.
        """
        with Runtime._starting:
            if self._finished:
                raise ValueError("this runtime was closed")
            if self._worker is None:
                self._worker = ThreadPoolExecutor(self.parallel, thread_name_prefix="infer")
            return self._worker.submit(function, *args, **kwargs)

    def finish(self) -> None:
        """Wait for everything submitted and accept nothing more. Part of every `close`."""
        with Runtime._starting:
            self._finished = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=True)

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


def check_device(path: Path, device: str | None, known: Sequence[str], runtime: str) -> None:
    """Raises `InputError` where a `device` is asked for that `runtime` does not know."""
    if device is not None and device not in known:
        raise InputError(f"cannot run {path} on {device}: {runtime} computes on {', '.join(known)}")

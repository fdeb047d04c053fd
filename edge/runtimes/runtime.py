"""`Runtime`, the base class: a loaded model on one device."""

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
from tinydet.edge.files.printable import printable

P = ParamSpec("P")
T = TypeVar("T")

DEVICES = ("cpu", "gpu", "npu", "tensorrt")
"""Devices to run on: the CPU, a graphics processor, Intel's neural processor, or NVIDIA's GPU through TensorRT."""
MOST_THREADS = 256
"""Largest number of threads that can be asked for; runtimes fail in a crash when the system has no more."""


class Runtime(ABC):
    """A loaded model, ready to run."""

    metadata: ArtifactMetadata
    """Metadata of the model file."""
    name: str
    """The runtime and its version, for example `onnxruntime 1.31.1`."""
    device: str
    """Name of the processor, for example `AMD EPYC`."""
    provider: str
    """The runtime's back end that runs the model, for example `CPUExecutionProvider`."""
    parallel: int = 1
    """Number of images that are worth submitting at a time."""
    fingerprint: str = ""
    """Check sum of the weights; empty where the model was tried while it was read."""
    _errors: tuple[type[Exception], ...] = (RuntimeError,)
    """Errors of the runtime's package while it runs a model."""
    _has_run = False
    _worker: ThreadPoolExecutor | None = None
    _finished = False
    """Whether nothing more can be submitted."""
    _is_closed = False
    _starting = Lock()  # one for all runtimes, held for the moment in which a worker is started or ended

    @classmethod
    @abstractmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> Runtime:
        """Load the model file.

        threads: maximum number of CPU threads; None leaves it to the runtime.
        device: one of `DEVICES`, which runs every operator; None takes the first of `devices()`.

        Raises:
            InputError: the file is missing or damaged, its metadata is missing or contradictory, or the device is not
                available.
        """

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Those of `DEVICES` that the installed package supports, its default first.

        A listed device may still be missing on this machine.
        """
        return ("cpu",)

    def infer(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run (N, H, W, 3) uint8 RGB of the model's input size.

        Returns the raw outputs level by level, logits (N, h, w, classes) then distances (N, h, w, 4), as
        edge/detection/decoding.py takes them; they belong to the caller. Any number of threads may call it at once.

        Raises:
            ValueError: the images have another dtype or shape, or the runtime was closed.
            InputError: the runtime cannot run the model, an output has not the type or shape that the metadata
                promises, or those of the first images are NaN or infinite.
        """
        if self._is_closed:
            raise ValueError("this runtime was closed")
        self.check_images(images_nhwc_u8)
        try:
            outputs = self._run(images_nhwc_u8)
        except self._errors as error:
            reason = printable(" ".join(str(error).split()))[:300]
            raise InputError(f"{self.name} cannot run this model on {self.device}: {reason}") from error
        for output, (name, shape) in zip(outputs, self.metadata.output_shapes.items(), strict=True):
            if output.shape != (len(images_nhwc_u8), *shape) or output.dtype != np.float32:
                promised = f"float32 {(len(images_nhwc_u8), *shape)}"
                raise InputError(f"output {name}: metadata promises {promised}, got {output.dtype} {output.shape}")
            if not self._has_run and not np.isfinite(output).all():
                raise InputError(f"the model gives NaN or infinity in {name}: train, quantize or export it again")
        self._has_run = True
        return outputs

    @abstractmethod
    def _run(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Run the model on checked images, for `infer`."""

    def try_one_image(self) -> None:
        """Run one grey image. Raises `InputError` as `infer` does."""
        self.infer(np.full((1, *self.metadata.input_hw, 3), self.metadata.pad_value, np.uint8))

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

    def check_images(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> None:
        """Check dtype and shape of the images given to `infer`. Raises `ValueError`."""
        height, width = self.metadata.input_hw
        if images_nhwc_u8.dtype != np.uint8 or images_nhwc_u8.shape[1:] != (height, width, 3):
            raise ValueError(
                f"images: expected uint8 (N, {height}, {width}, 3), got {images_nhwc_u8.dtype} {images_nhwc_u8.shape}"
            )

    def close(self) -> None:
        """Wait for what was submitted, then release memory and threads. The runtime cannot be used afterwards."""
        with Runtime._starting:
            self._finished = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=True)
        if not self._is_closed:
            self._is_closed = True
            self._release()

    def _release(self) -> None:
        """Release the memory of the model, for `close`: once, when nothing runs."""
        return None

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def check_device(
    path: Path, device: str | None, known: Sequence[str], runtime: str, *, threads: int | None = None
) -> str:
    """The device to run on: `device`, or the first of the `known` ones of `runtime` for None.

    Raises:
        InputError: the runtime does not know the device, or `threads` is given for another one than the CPU.
    """
    chosen = known[0] if device is None else device
    if chosen not in known:
        raise InputError(f"cannot run {path} on {chosen}: {runtime} computes on {', '.join(known)}")
    if threads is not None and chosen != "cpu":
        raise InputError(f"threads has no effect on {chosen}, which computes without the CPU")
    return chosen


def one_line(message: str) -> str:
    """A library's error message for one line: its last line that has words, printable."""
    lines = [line.strip() for line in message.splitlines() if any(c.isalpha() for c in line)]
    return printable(lines[-1].rstrip("."))[-300:] if lines else ""

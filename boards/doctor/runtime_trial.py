"""Runs a tiny model on one runtime, in a process of its own, so that a native library that crashes ends only that.

The model finds bright spots and was built by hand (`tests/unit/boards/doctor/trial_models.py`), so the right output for
an image is known. The model runs for a second, and every output must be right.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydet.boards.fresh_process import run_in_fresh_process
from tinydet.boards.runtimes import RUNTIMES
from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.files.folders import temporary_folder
from tinydet.edge.runtimes.opening import runtime_class
from tinydet.edge.runtimes.runtime import Runtime

MODELS = Path(__file__).with_name("models")
SECONDS = 1.0
SPOT_CELL = (2, 5)  # row and column in the finest level, whose cells are 4 px wide
SPOT_LOGIT, TOLERANCE = 5.5, 0.2  # (255 - 200) / 10; a step of the INT8 model is 1/8

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class RuntimeTrial:
    """Result of a trial; the first three fields are empty if the model did not run."""

    runtime: str = ""
    """Name and version."""
    provider: str = ""
    """Back end that ran."""
    images: int = 0
    """Number of images inferred."""
    devices: tuple[str, ...] = ()
    """Devices that the package supports, its default first; empty if the package could not be asked."""
    installed: bool = True
    """Whether the runtime's package can be imported."""
    error: str | None = None
    """One line; None if every output was right."""


def try_runtime(name: str, device: str | None, timeout_s: float) -> RuntimeTrial:
    """Run the model on runtime `name` (in `RUNTIMES`) and `device` (None: its default), in a process of its own.

    If no process can be started (in an emulator of another CPU), this process runs it, without the timeout.
    """
    packages = RUNTIMES[name].packages
    if not any(map(find_spec, packages)):  # a process takes seconds to start on a Pi
        return RuntimeTrial(installed=False, error=f"this needs {' or '.join(packages)}")
    try:
        return run_in_fresh_process(run_trial_model, name, device, timeout_s=max(timeout_s, 0.0))
    except InputError as error:
        return RuntimeTrial(error=str(error))
    except RuntimeError as error:
        return RuntimeTrial(error=f"it failed: {str(error).splitlines()[-1]}")
    except OSError:
        with _one_at_a_time:
            return run_trial_model(name, device)


def run_trial_model(name: str, device: str | None) -> RuntimeTrial:
    """Run the model in this process; arguments as for `try_runtime`."""
    ending = RUNTIMES[name].file_ending
    try:
        found = runtime_class(ending)
    except MissingExtraError as error:
        return RuntimeTrial(installed=False, error=str(error))
    except ImportError as error:  # the package is installed, a library of it is not
        return RuntimeTrial(error=f"it cannot be imported: {_one_line(error)}")
    devices = found.devices()
    try:
        with _model(ending) as model, found.open(model, device=device) as runtime:
            images = _infer_for_a_second(runtime)
            return RuntimeTrial(runtime=runtime.name, provider=runtime.provider, images=images, devices=devices)
    except (InputError, RuntimeError, OSError) as error:
        return RuntimeTrial(devices=devices, error=_one_line(error))


@contextmanager
def _model(ending: str) -> Iterator[Path]:
    """The model's file with that ending; an engine is built first, since it runs only where it was built."""
    if ending != "engine":
        yield MODELS / f"spots.{ending}"
        return
    from tinydet.edge.runtimes.tensorrt import build_engine

    with temporary_folder() as folder:
        engine = folder / "spots.engine"
        build_engine(MODELS / "spots.onnx", engine, batch=1, workspace_mb=64)
        yield engine


def _infer_for_a_second(runtime: Runtime) -> int:
    """Return the number of images inferred. Raises `InputError` for a wrong output."""
    height, width = runtime.metadata.input_hw
    image = np.zeros((1, height, width, 3), np.uint8)
    row, column = (4 * cell for cell in SPOT_CELL)
    image[:, row : row + 4, column : column + 4] = 255
    images, end_s = 0, time.monotonic() + SECONDS
    while images == 0 or time.monotonic() < end_s:
        outputs = runtime.infer(image)
        _check_output(outputs[0][0, :, :, 0])
        images += 1
    return images


def _check_output(logits: npt.NDArray[np.float32]) -> None:
    if np.argwhere(logits > 0).tolist() != [list(SPOT_CELL)] or abs(logits[SPOT_CELL] - SPOT_LOGIT) > TOLERANCE:
        raise InputError("it ran, but its output is wrong")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

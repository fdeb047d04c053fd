"""Runs a tiny model through one runtime, in a process of its own: a native library that crashes takes only that along.

The model finds bright spots and was built by hand (`tests/boards/doctor_models.py`), so the right answer to an image
is known. It is run for a second, and every answer must be right.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from tinydet.boards.fresh_process import run_in_fresh_process
from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.runtimes.opening import runtime_class, runtime_endings
from tinydet.edge.runtimes.runtime import Runtime

MODELS = Path(__file__).with_name("models")
SECONDS = 1.0
SPOT_CELL = (2, 5)  # row and column in the finest level, whose cells are 4 px wide
SPOT_LOGIT, TOLERANCE = 5.5, 0.2  # (255 - 200) / 10; a step of the INT8 model is 1/8

ENGINE = "engine"

#: Ending of a file -> packages any of which runs it. Looked up before a process is started, seconds on a Pi.
PACKAGES = {
    "onnx": ("onnxruntime",),
    "xml": ("openvino",),
    "tflite": ("ai_edge_litert", "tflite_runtime"),
    ENGINE: ("tensorrt",),
}

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of it; the first three are empty where it did not run."""

    runtime: str = ""
    """Name and version."""
    provider: str = ""
    """The back end that ran."""
    images: int = 0
    """How many it has answered."""
    devices: tuple[str, ...] = ()
    """That the package brings, its usual one first; empty where it cannot be asked."""
    installed: bool = True
    """Whether the runtime's package can be imported."""
    error: str | None = None
    """One line; None where all answers were right."""


def probed_endings() -> list[str]:
    """Endings of the files that are tried: those of every runtime on boards (torch, on workstations, is none)."""
    return [ending for ending in runtime_endings() if ending == ENGINE or (MODELS / f"spots.{ending}").is_file()]


def probe(ending: str, device: str | None, timeout_s: float) -> Answer:
    """Run the model with that file ending, in a process of its own.

    Where no process can be started (in an emulator of another CPU) this one does it, and `timeout_s` has no effect.
    """
    if not any(find_spec(package) for package in PACKAGES[ending]):
        return Answer(installed=False, error=f"this needs {' or '.join(PACKAGES[ending])}")
    try:
        return run_in_fresh_process(answer, ending, device, timeout_s=max(timeout_s, 0.0))
    except InputError as error:
        return Answer(error=str(error))
    except RuntimeError as error:
        return Answer(error=f"it failed: {str(error).splitlines()[-1]}")
    except OSError:
        with _one_at_a_time:
            return answer(ending, device)


def answer(ending: str, device: str | None) -> Answer:
    """Run the model here and now; `device` None is the runtime's usual one."""
    try:
        found = runtime_class(ending)
    except MissingExtraError as error:
        return Answer(installed=False, error=str(error))
    except ImportError as error:  # installed, but one of its libraries is not
        return Answer(error=f"it cannot be imported: {_one_line(error)}")
    devices = found.devices()
    try:
        with _model(ending) as model, found.open(model, device=device) as runtime:
            images = _run_for_a_while(runtime)
            return Answer(runtime=runtime.name, provider=runtime.provider, images=images, devices=devices)
    except (InputError, RuntimeError, OSError) as error:
        return Answer(devices=devices, error=_one_line(error))


@contextmanager
def _model(ending: str) -> Iterator[Path]:
    """The file to run."""
    if ending == ENGINE:  # it runs only where it was built
        from tinydet.edge.runtimes.tensorrt import build_engine

        with TemporaryDirectory() as folder:
            engine = Path(folder) / "spots.engine"
            build_engine(MODELS / "spots.onnx", engine, batch=1, workspace_mb=64)
            yield engine
    else:
        yield MODELS / f"spots.{ending}"


def _run_for_a_while(runtime: Runtime) -> int:
    """Returns how many images were answered. Raises `InputError` when an answer is wrong."""
    height, width = runtime.metadata.input_hw
    image = np.zeros((1, height, width, 3), np.uint8)
    row, column = (4 * cell for cell in SPOT_CELL)
    image[:, row : row + 4, column : column + 4] = 255
    images, end_s = 0, time.monotonic() + SECONDS
    while images == 0 or time.monotonic() < end_s:
        outputs = runtime.infer(image)
        _check_answer(outputs[0][0, :, :, 0])
        images += 1
    return images


def _check_answer(logits: npt.NDArray[np.float32]) -> None:
    if np.argwhere(logits > 0).tolist() != [list(SPOT_CELL)] or abs(logits[SPOT_CELL] - SPOT_LOGIT) > TOLERANCE:
        raise InputError("it ran, but what it computed is wrong")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

"""What a target, a file format of artifacts, has to offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from tinydet.edge.errors import MissingExtraError
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector

Grid = frozenset[tuple[float, int]]
"""The (scale, zero point) pairs of an artifact's activations, on the int8 convention: zero point -128 to 127."""


class Export(Protocol):
    """Write a checkpoint as an artifact into a folder and return the file.

    `precision` is one of the target's; `quantized` comes with int8 and with nothing else. `input_hw` defaults to
    `quantized`'s, else to the size the checkpoint was trained for. Raises `InputError` when the folder cannot be
    written or `input_hw` is no multiple of 64.
    """

    def __call__(
        self,
        loaded: LoadedDetector,
        folder: Path,
        *,
        precision: str,
        input_hw: tuple[int, int] | None = None,
        quantized: QuantizedNetwork | None = None,
    ) -> Path:
        """See the class."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One row of the table of formats."""

    precisions: tuple[str, ...]
    """What it can write, of fp32, fp16 and int8."""
    export: Export
    record_accuracy: Callable[[Path, Accuracy, str], None]
    """Puts the accuracy that an artifact reached on the named data into its metadata; nothing else changes."""
    summary: Callable[[Path], str]
    """A few words on what is inside an artifact."""
    grid: Callable[[Path], Grid]
    """Of an INT8 artifact."""
    float_operators: Callable[[Path], int]
    """How many operators of an INT8 artifact its runtime computes in float, between the image and the outputs."""
    on_shared_grid: bool = True
    """Whether INT8 artifacts carry the network's own grids; otherwise grids derived from them."""


#: --format -> file ending, and where its `Target` is; imported when asked for.
TARGETS = {
    "onnx": ("onnx", "tinydet.converters.onnx:TARGET"),
    "tflite": ("tflite", "tinydet.converters.tflite:TARGET"),
    "tensorrt": ("tensorrt.onnx", "tinydet.converters.tensorrt:TARGET"),
    "openvino": ("xml", "tinydet.converters.openvino:TARGET"),
}


def load_target(name: str) -> Target:
    """The target called `name` in `TARGETS`. Raises `MissingExtraError` when the package it needs is not installed."""
    try:
        target = resolve_name(TARGETS[name][1])
    except ModuleNotFoundError as error:
        missing_extra = MissingExtraError.of(error)
        if missing_extra is None:
            raise
        raise missing_extra from error
    assert isinstance(target, Target)
    return target


def target_name(path: Path) -> str | None:
    """Name of the target that writes files like `path`, None where none does."""
    fitting = [name for name, (ending, _) in TARGETS.items() if path.name.endswith(f".{ending}")]
    return max(fitting, key=lambda name: len(TARGETS[name][0]), default=None)  # x.tensorrt.onnx also ends in .onnx

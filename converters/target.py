"""What a target, a file format of artifacts, has to offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.accuracy import Accuracy
from quantization.ptq import QuantizedNetwork
from training.checkpoint import LoadedDetector


class Export(Protocol):
    """Write a checkpoint as an artifact into a folder and return the file: INT8 if `quantized`, else FP32.

    `input_hw` defaults to `quantized`'s, else to the size the checkpoint was trained for. Raises `InputError` when the
    folder cannot be written or `input_hw` is no multiple of 64.
    """

    def __call__(
        self,
        loaded: LoadedDetector,
        folder: Path,
        *,
        input_hw: tuple[int, int] | None = None,
        quantized: QuantizedNetwork | None = None,
    ) -> Path:
        """See the class."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One row of the table of formats."""

    export: Export
    record_accuracy: Callable[[Path, Accuracy, str], None]
    """Puts the accuracy that an artifact reached on the named data into its metadata; nothing else changes."""
    summary: Callable[[Path], str]
    """A few words on what is inside an artifact."""

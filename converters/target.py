"""`Target`: a file format of artifacts, with the steps from checkpoint to file that all formats share."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from torch.fx import GraphModule

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.quantization.export_graph import capture
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector
from tinydet.training.torch_runtime import float_metadata

LITERT_TORCH_PYTHON = (3, 11)

Grid = frozenset[tuple[float, int]]
"""The (scale, zero point) pairs of an artifact's activations, on the int8 convention: zero point -128 to 127."""

Model = TypeVar("Model")
"""An artifact's model in memory, as the format's own library holds it."""


class Target(ABC, Generic[Model]):
    """Writes artifacts of one format and reads them back; a subclass for each format, in a file of its own."""

    name: ClassVar[str]
    """Its name in `TARGETS`."""
    precisions: ClassVar[tuple[str, ...]]
    """The precisions it can write, of fp32, fp16 and int8."""
    tools: ClassVar[tuple[str, ...]]
    """Distributions that make the file, beside torch; their versions go into the metadata."""
    on_shared_grid: ClassVar[bool] = True
    """Whether INT8 artifacts carry the network's own grids; otherwise grids derived from them."""

    def export(
        self,
        loaded: LoadedDetector,
        folder: Path,
        *,
        precision: str,
        input_hw: tuple[int, int] | None = None,
        quantized: QuantizedNetwork | None = None,
    ) -> Path:
        """Write a checkpoint as an artifact into `folder` and return the file.

        precision: one of `precisions`; `quantized` comes with int8 and with nothing else.
        input_hw: default `quantized`'s, else the size the checkpoint was trained for.

        The same checkpoint and calibration give the same bytes. Raises `InputError` when the folder cannot be written,
        or `input_hw` is no multiple of 64 or not the one `quantized` was calibrated for.
        """
        if (precision == "int8") != (quantized is not None):
            need = "needs" if quantized is None else "cannot take"
            raise ValueError(f"precision {precision} {need} a quantized network")
        metadata = float_metadata(loaded.model, input_px=loaded.input_px, checkpoint_sha256=loaded.sha256)
        packages = ("tinydet", "torch", *self.tools)
        if quantized is None:
            graph = capture(loaded.model, input_hw or metadata.input_hw)
            metadata = replace(metadata, input_hw=input_hw or metadata.input_hw, precision=precision)
        else:
            if input_hw not in (None, quantized.input_hw):
                raise InputError(f"calibrated for input {quantized.input_hw}, asked to export for {input_hw}")
            graph, packages = quantized.graph, (*packages, "torchao")
            metadata = replace(
                metadata,
                input_hw=quantized.input_hw,
                precision=precision,
                quantization=quantized.method,
                calibration=quantized.calibration,
                float_blocks=quantized.float_blocks,
            )
        metadata = replace(metadata, tool_versions={package: version(package) for package in packages})
        path = folder / file_name(metadata.model, metadata.input_hw, precision, TARGETS[self.name].ending)
        self.write(path, self.build(graph, metadata), metadata)
        return path

    def record_accuracy(self, path: Path, accuracy: Accuracy, data: str) -> None:
        """Put the accuracy that the artifact reached on the data set `data` into its metadata; nothing else changes."""
        model, metadata = self.read(path)
        self.write(path, model, replace(metadata, accuracy={**accuracy.as_dict(), "data": data}))

    def summary(self, path: Path) -> str:
        """Describe an artifact in a few words: how many of its convolutions compute in INT8."""
        int8, total = self.count_convolutions(path)
        return f"{int8} of {total} convolutions in INT8"

    @abstractmethod
    def build(self, graph: GraphModule, metadata: ArtifactMetadata) -> Model:
        """Translate a captured or quantized graph into the format.

        The graph takes images (N, 3, H, W) float in [0, 1] and gives logits and distances of each level in turn; for
        int8 it is `QuantizedNetwork.graph`, with `quantized_decomposed` operators between its operators.
        """

    @abstractmethod
    def read(self, path: Path) -> tuple[Model, ArtifactMetadata]:
        """Read an artifact and its metadata. Raises `InputError` where it is none of this format."""

    @abstractmethod
    def write(self, path: Path, model: Model, metadata: ArtifactMetadata) -> None:
        """Write the model with the metadata inside, atomically; equal arguments give equal bytes."""

    @abstractmethod
    def count_convolutions(self, path: Path) -> tuple[int, int]:
        """How many convolutions of an artifact compute in INT8, and how many it has."""

    @abstractmethod
    def grid(self, path: Path) -> Grid:
        """The grids of an INT8 artifact's activations."""

    @abstractmethod
    def float_operators(self, path: Path) -> int:
        """How many operators of an INT8 artifact its runtime computes in float, between the image and the outputs."""


class TargetEntry(NamedTuple):
    """Where a target is. ending: of its files. target: its class, imported on demand. extra: brings its packages."""

    ending: str
    target: str
    extra: str = "convert"


#: --format -> the target.
TARGETS = {
    "onnx": TargetEntry("onnx", "tinydet.converters.onnx:OnnxTarget"),
    "tflite": TargetEntry("tflite", "tinydet.converters.tflite:TfliteTarget", "tflite-convert"),
    "tensorrt": TargetEntry("tensorrt.onnx", "tinydet.converters.tensorrt:TensorRtTarget"),
    "openvino": TargetEntry("xml", "tinydet.converters.openvino:OpenvinoTarget"),
}


def load_target(name: str) -> Target[Any]:
    """The target called `name` in `TARGETS`. Raises `MissingExtraError` when a package it needs is not installed."""
    entry = TARGETS[name]
    try:
        target = resolve_name(entry.target)()
    except ModuleNotFoundError as error:
        if MissingExtraError.of(error) is None:
            raise
        install = f"pip install 'tinydet[{entry.extra}]'"
        if entry.extra == "tflite-convert" and sys.version_info < LITERT_TORCH_PYTHON:
            install += " under Python 3.11 or 3.12 (litert-torch has no wheels for 3.10)"
        raise MissingExtraError(f"{name} artifacts need {error.name}: {install}") from error
    assert isinstance(target, Target)
    return target


def target_name(path: Path) -> str | None:
    """Name of the target that writes files like `path`, None where none does."""
    fitting = [name for name, entry in TARGETS.items() if path.name.endswith(f".{entry.ending}")]
    return max(fitting, key=lambda name: len(TARGETS[name].ending), default=None)  # x.tensorrt.onnx also ends in .onnx


def file_name(model: str, input_hw: tuple[int, int], precision: str, ending: str) -> str:
    """`<model>-<size>px-<precision>.<ending>`; a size that is no square is written width x height."""
    height, width = input_hw
    size = f"{width}" if height == width else f"{width}x{height}"
    return f"{model}-{size}px-{precision}.{ending}"

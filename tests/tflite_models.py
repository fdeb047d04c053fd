"""The spot detector of `tests.models` as a TFLite file, in float or in INT8, built without a converter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tests.models import SPOT_METADATA, spot_metadata
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.runtimes.tflite_file import join

INT8_METADATA = spot_metadata(precision="int8", quantization="ptq")
IMAGE_GRID = (1 / 255, -128)
LOGITS_GRID = (1 / 8, 0)
DISTANCES_GRID = (1 / 64, 0)

Grid = tuple[float, int]


class SpotModel:
    """A model under construction: average pool, then a 1x1 convolution each for logits and distances of every level.

    `spot_metadata` says what: logits (mean red - 200) / 10 of class 0 at the finest level, -20 elsewhere, cut at -16 by
    LOGITS_GRID in INT8; distances 1.
    """

    def __init__(self, metadata: ArtifactMetadata) -> None:
        self.int8 = metadata.precision == "int8"
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.outputs = [], [], []
        self.buffers = [schema.BufferT()]
        self.graph.inputs = [self.tensor("image", (1, *metadata.input_hw, 3), IMAGE_GRID)]
        for stride in metadata.strides:
            level = stride.bit_length() - 1
            shapes = {name: shape for name, shape in metadata.output_shapes.items() if name.endswith(f"_p{level}")}
            height, width, classes = shapes[f"logits_p{level}"]
            pooled = self.tensor(f"pooled_p{level}", (1, height, width, 3), IMAGE_GRID)
            self.pool(self.graph.inputs[0], pooled, stride)
            weight, bias = np.zeros((classes, 1, 1, 3), np.float32), np.full(classes, -20, np.float32)
            if stride == metadata.strides[0]:
                weight[0, 0, 0, 0] = 25.5
            self.convolution(f"logits_p{level}", pooled, weight, bias, (1, height, width, classes), LOGITS_GRID)
            nothing, ones = np.zeros((4, 1, 1, 3), np.float32), np.ones(4, np.float32)
            self.convolution(f"distances_p{level}", pooled, nothing, ones, (1, height, width, 4), DISTANCES_GRID)

    def tensor(
        self, name: str, shape: tuple[int, ...], grid: Grid | None, values: npt.NDArray[Any] | None = None
    ) -> int:
        """Returns its index. `grid` counts in INT8 only; `values` make a constant."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = schema.TensorType.INT8 if self.int8 else schema.TensorType.FLOAT32
        if values is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT())
            self.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.type = {"f": schema.TensorType.FLOAT32, "b": schema.TensorType.INT8, "i": schema.TensorType.INT32}[
                values.dtype.char
            ]
        if self.int8 and grid is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [grid[0]], [grid[1]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def pool(self, source: int, result: int, stride: int) -> None:
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = options.filterHeight = options.filterWidth = stride
        self.operator(0, [source], result, schema.BuiltinOptions.Pool2DOptions, options)

    def convolution(
        self,
        name: str,
        source: int,
        weight_ohwi: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        shape: tuple[int, ...],
        grid: Grid,
    ) -> None:
        scale = float(np.abs(weight_ohwi).max()) / 127 or 1.0
        bias_scale = IMAGE_GRID[0] * scale
        stored_weight: npt.NDArray[Any] = np.rint(weight_ohwi / scale).astype(np.int8) if self.int8 else weight_ohwi
        stored_bias: npt.NDArray[Any] = np.rint(bias / bias_scale).astype(np.int32) if self.int8 else bias
        inputs = [
            source,
            self.tensor(f"{name}_weight", weight_ohwi.shape, (scale, 0), stored_weight),
            self.tensor(f"{name}_bias", bias.shape, (bias_scale, 0), stored_bias),
        ]
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
        output = self.tensor(name, shape, grid)
        self.operator(1, inputs, output, schema.BuiltinOptions.Conv2DOptions, options)
        self.graph.outputs.append(output)

    def operator(self, code: int, inputs: list[int], output: int, kind: int, options: Any) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)

    def content(self) -> bytes:
        """The file."""
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [self.graph], self.buffers, []
        for builtin, version in ((schema.BuiltinOperator.AVERAGE_POOL_2D, 2), (schema.BuiltinOperator.CONV_2D, 3)):
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = builtin
            code.version = version
            model.operatorCodes.append(code)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = (
            [_named(self.graph.tensors[index].name, index) for index in indices]
            for indices in (self.graph.inputs, self.graph.outputs)
        )
        model.signatureDefs = [signature]
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _named(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


def write_spot_tflite(
    path: Path,
    built: ArtifactMetadata = SPOT_METADATA,
    *,
    claimed: ArtifactMetadata | None = None,
    metadata_json: str | None = "",
) -> Path:
    """An artifact that is what `built` says; `claimed` is the metadata it carries (default: the truth).

    `metadata_json` replaces the metadata's text; None leaves it out.
    """
    content, metadata = SpotModel(built).content(), replace(claimed or built)
    if metadata_json:
        object.__setattr__(metadata, "to_json", lambda: metadata_json)
    path.write_bytes(content if metadata_json is None else join(content, metadata))
    return path

"""ONNX for TensorRT, from which a Jetson builds its engine: FP32, FP16, or INT8 with explicit Q/DQ.

The image, the outputs and the metadata are those of onnx.py. What TensorRT's parser asks for is different:

- quantized tensors are int8 with zero point 0. The network's own grid is asymmetric; the symmetric one covers the same
  range: scale * max(zero_point, 255 - zero_point) / 127 with the zero point on the uint8 grid. Behind a ReLU6 that
  leaves 7 of the 8 bits.
- a bias is float (there is no int32 DequantizeLinear), and so is the image as soon as it is inside: a uint8 input may
  only be cast.
- the file decides the types of all tensors, because engines are built strongly typed, the only way since TensorRT 11.

ONNX Runtime runs these files too, slowly, the convolutions in float: so their accuracy is measured without a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from torch.fx import Node

from tinydet.converters.artifact import file_name, plan
from tinydet.converters.onnx import HalfTranslation, build_onnx, record_accuracy, summary, write_onnx
from tinydet.converters.onnx_graph import NCHW_TO_NHWC, NHWC_TO_NCHW, UINT8_SHIFT, Translation
from tinydet.converters.target import Grid, Target
from tinydet.quantization.grid import IMAGE_SCALE
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector

ENDING = "tensorrt.onnx"
INT8_MAX = 127


def symmetric_scale(scale: float, int8_zero_point: int) -> float:
    """Step of the grid with zero point 0 that covers what the asymmetric int8 grid covers."""
    zero_point = int8_zero_point + UINT8_SHIFT
    return float(np.float32(max(zero_point * scale, (255 - zero_point) * scale) / INT8_MAX))


class TensorRtTranslation(Translation):
    """Writes the graph as TensorRT's parser takes it."""

    opset = 20  # the newest that TensorRT 10.3 promises to read
    ir_version = 9
    quantizes_bias = False
    float_type: int = TensorProto.FLOAT

    def activation_grid(self, scale: Any, int8_zero_point: Any) -> tuple[str, str]:
        """See `Translation`: symmetric."""
        zero_point = self.target.constant("zero_point_0", np.array(0, np.int8))
        return self.scalar(symmetric_scale(scale, int8_zero_point)), zero_point

    def quantized_constant(self, node: Node, name: str, scale: Any, int8_zero_point: Any) -> str:
        """See `Translation`: the nearest steps of the symmetric grid."""
        real = (self.stored(node).astype(np.float64) - int8_zero_point) * scale
        steps = np.rint(real / symmetric_scale(scale, int8_zero_point))
        return self.target.constant(name, steps.clip(-INT8_MAX, INT8_MAX).astype(np.int8))

    def _read_image(self, image: str) -> str:
        as_float = self.target.add("Cast", [image], "image/Cast", to=self.float_type)
        image_nchw = self.target.add("Transpose", [as_float], "image/Transpose", perm=NHWC_TO_NCHW)
        return self.target.add("Mul", [image_nchw, self.scalar(IMAGE_SCALE)], "image/Mul")

    def _write_output(self, node: Node, name: str) -> None:
        """The transpose moves floats: TensorRT folds a dequantization into the operator before it, not past a move."""
        self.add(node, "Transpose", [self._apply_rule(node)], perm=NCHW_TO_NHWC, output=name)


class HalfTensorRtTranslation(HalfTranslation, TensorRtTranslation):
    """The same in float16."""

    float_type = TensorProto.FLOAT16


def export_tensorrt(
    loaded: LoadedDetector,
    folder: Path,
    *,
    precision: str,
    input_hw: tuple[int, int] | None = None,
    quantized: QuantizedNetwork | None = None,
) -> Path:
    """See `Export` in target.py. The same checkpoint and calibration give the same bytes."""
    graph, metadata = plan(loaded, precision=precision, input_hw=input_hw, quantized=quantized, tools=("onnx",))
    model = build_onnx(graph, metadata, HalfTensorRtTranslation if precision == "fp16" else TensorRtTranslation)
    path = folder / file_name(metadata, ENDING)
    write_onnx(path, model, metadata)
    return path


def grid(path: Path) -> Grid:
    """See `Target` in target.py: symmetric, of all activations."""
    graph = onnx.load(path).graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    pairs = [node.input[1:3] for node in graph.node if node.op_type == "QuantizeLinear"]
    return frozenset((constants[scale].item(), constants[zero_point].item()) for scale, zero_point in pairs)


def float_operators(path: Path) -> int:
    """See `Target` in target.py: those that do not stand between DequantizeLinear and QuantizeLinear.

    Read from the file, for lack of a GPU: TensorRT fuses such a group, a Clip behind it included, into one INT8 kernel.
    """
    graph = onnx.load(path).graph
    producers = {output: node for node in graph.node for output in node.output}
    consumers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node.op_type)
    count = 0
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") or _at_the_edge(node, graph, producers):
            continue
        operands = [producers[name].op_type for name in node.input if name in producers]
        fed = set(operands) == {"DequantizeLinear"} or node.op_type == "Clip"
        count += not (fed and set(consumers[node.output[0]]) <= {"QuantizeLinear", "Clip"})
    return count


def _at_the_edge(node: onnx.NodeProto, graph: onnx.GraphProto, producers: dict[str, onnx.NodeProto]) -> bool:
    """Whether `node` reads the image into floats or writes an output."""
    return node.name.startswith("image/") or node.output[0] in {output.name for output in graph.output}


TARGET = Target(
    precisions=("fp32", "fp16", "int8"),
    export=export_tensorrt,
    record_accuracy=record_accuracy,
    summary=summary,
    grid=grid,
    float_operators=float_operators,
    on_shared_grid=False,
)

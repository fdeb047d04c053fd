"""ONNX for TensorRT, from which a Jetson builds its engine: FP32, FP16 or INT8 (explicit Q/DQ).

The image, the outputs and the metadata are those of onnx.py. TensorRT's parser has other demands:

- quantized tensors are int8 with zero point 0. The network's own grid is asymmetric; the symmetric one covers the same
  range: scale * max(zero_point, 255 - zero_point) / 127 with the zero point on the uint8 grid. Behind a ReLU6 that
  leaves 7 of the 8 bits.
- a bias is float (there is no int32 DequantizeLinear), and the image is cast to float at once: a uint8 input may only
  be cast.
- the file sets the types of all tensors, because engines are built strongly typed, the only way since TensorRT 11.

ONNX Runtime runs these files too, slowly and with float convolutions, so accuracy is measured without a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from torch.fx import Node

from tinydet.converters.onnx import HalfTranslation, OnnxTarget
from tinydet.converters.onnx_graph import NCHW_TO_NHWC, NHWC_TO_NCHW, UINT8_SHIFT, Translation
from tinydet.quantization.grid import IMAGE_SCALE

INT8_MAX = 127


def symmetric_scale(scale: float, int8_zero_point: int) -> float:
    """Step of the grid with zero point 0 that covers what the asymmetric int8 grid covers."""
    zero_point = int8_zero_point + UINT8_SHIFT
    return float(np.float32(max(zero_point * scale, (255 - zero_point) * scale) / INT8_MAX))


class TensorRtTranslation(Translation):
    """Writes the graph in the form that TensorRT's parser reads."""

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
        """Write an output as NHWC, transposed as float: TensorRT folds a dequantization into the operator before it."""
        self.add(node, "Transpose", [self._apply_rule(node)], perm=NCHW_TO_NHWC, output=name)


class HalfTensorRtTranslation(HalfTranslation, TensorRtTranslation):
    """`TensorRtTranslation` in float16."""

    float_type = TensorProto.FLOAT16


class TensorRtTarget(OnnxTarget):
    """ONNX for TensorRT."""

    name = "tensorrt"
    on_shared_grid = False
    translation = TensorRtTranslation
    half_translation = HalfTensorRtTranslation

    def float_operators(self, path: Path) -> int:
        """See `Target.float_operators`: those not between DequantizeLinear and QuantizeLinear.

        Read from the file, for lack of a GPU: TensorRT fuses such a group, with a Clip behind it, into one INT8 kernel.
        """
        graph = onnx.load(path).graph
        producers = {output: node for node in graph.node for output in node.output}
        consumers: dict[str, list[str]] = {}
        for node in graph.node:
            for name in node.input:
                consumers.setdefault(name, []).append(node.op_type)
        count = 0
        for node in graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear") or _at_the_edge(node, graph):
                continue
            operands = [producers[name].op_type for name in node.input if name in producers]
            fed = set(operands) == {"DequantizeLinear"} or node.op_type == "Clip"
            count += not (fed and set(consumers[node.output[0]]) <= {"QuantizeLinear", "Clip"})
        return count


def _at_the_edge(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """Whether `node` reads the image into floats or writes an output."""
    return node.name.startswith("image/") or node.output[0] in {output.name for output in graph.output}

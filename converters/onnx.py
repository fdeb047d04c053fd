"""ONNX artifacts: uint8 NHWC image in, NHWC raw outputs out, metadata inside; FP32, FP16 or INT8 (QDQ).

The interface is the same for all precisions:

    image (N, H, W, 3) uint8 RGB  ->  logits_p2, distances_p2, logits_p3, ...  (N, H/stride, W/stride, C) float32

INT8 is written as quantize/dequantize pairs around float operators. Runtimes fuse them: ONNX Runtime into QLinear
operators, without a float convolution or transpose left; OpenVINO into u8 kernels.

FP16 is for GPUs: on a CPU without float16 arithmetic ONNX Runtime computes it in float32, with casts in between.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch.fx import GraphModule, Node

from tinydet.converters.onnx_graph import NCHW_TO_NHWC, UINT8_SHIFT, Array, OnnxGraph, Translation
from tinydet.converters.onnx_rules import RULES
from tinydet.converters.target import Grid, Target
from tinydet.edge.artifact import METADATA_KEY, WEIGHTS_KEY, ArtifactMetadata
from tinydet.edge.files.folders import temporary_folder
from tinydet.edge.files.writing import atomic_path
from tinydet.edge.runtimes.onnx_metadata import onnx_check_sum, read_onnx

MOVES_BYTES = ("Resize", "MaxPool", "NhwcMaxPool", "Transpose", "Concat")  # these keep the grid of a uint8 tensor


class HalfTranslation(Translation):
    """Writes weights and arithmetic in float16; the image stays uint8 and the outputs float32."""

    def stored(self, node: Any) -> Array:
        return super().stored(node).astype(np.float16)

    def scalar(self, value: float) -> str:
        return self.target.constant(f"value_{value!r}", np.array(value, np.float16))

    def _write_output(self, node: Node, name: str) -> None:
        value_nhwc = self.add(node, "Transpose", [self._apply_rule(node)], perm=NCHW_TO_NHWC)
        self.add(node, "Cast", [value_nhwc], to=TensorProto.FLOAT, output=name)


def build_onnx(
    graph: GraphModule, metadata: ArtifactMetadata, translation: type[Translation] = Translation
) -> onnx.ModelProto:
    """Translate the captured or quantized `graph` into an ONNX model, and check it."""
    outputs = metadata.output_shapes
    target = OnnxGraph()
    translation(graph, target, RULES).translate("image", tuple(outputs))
    height, width = metadata.input_hw
    onnx_graph = helper.make_graph(
        target.nodes,
        f"{metadata.model}-{metadata.precision}",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in outputs.items()],
        list(target.constants.values()),
    )
    model = helper.make_model(
        onnx_graph,
        opset_imports=[helper.make_opsetid("", translation.opset)],
        ir_version=translation.ir_version,
        producer_name="tinydet",
        producer_version=version("tinydet"),
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class OnnxTarget(Target[onnx.ModelProto]):
    """ONNX for ONNX Runtime."""

    name = "onnx"
    precisions = ("fp32", "fp16", "int8")
    tools = ("onnx",)
    translation: ClassVar[type[Translation]] = Translation
    half_translation: ClassVar[type[Translation]] = HalfTranslation

    def build(self, graph: GraphModule, metadata: ArtifactMetadata) -> onnx.ModelProto:
        return build_onnx(graph, metadata, self.half_translation if metadata.precision == "fp16" else self.translation)

    def read(self, path: Path) -> tuple[onnx.ModelProto, ArtifactMetadata]:
        content, metadata, _ = read_onnx(path)
        return onnx.load_from_string(content), metadata

    def write(self, path: Path, model: onnx.ModelProto, metadata: ArtifactMetadata) -> None:
        weights = onnx_check_sum(model.SerializeToString(deterministic=True))
        helper.set_model_props(model, {METADATA_KEY: metadata.to_json(), WEIGHTS_KEY: weights})
        with atomic_path(path) as partial:
            partial.write_bytes(model.SerializeToString(deterministic=True))

    def count_convolutions(self, path: Path) -> tuple[int, int]:
        """See `Target.count_convolutions`: those whose input and weight are dequantized just before."""
        graph = onnx.load(path).graph
        producers = {output: node.op_type for node in graph.node for output in node.output}
        operands = [{producers.get(name) for name in node.input[:2]} for node in graph.node if node.op_type == "Conv"]
        return sum(kinds == {"DequantizeLinear"} for kinds in operands), len(operands)

    def grid(self, path: Path) -> Grid:
        """See `Target.grid`: of all activations; uint8 grids are shifted back by 128."""
        graph = onnx.load(path).graph
        constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
        pairs = [
            (constants[node.input[1]], constants[node.input[2]])
            for node in graph.node
            if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2  # weights have two inputs
        ]
        return frozenset(
            (scale.item(), zero_point.item() - (UINT8_SHIFT if zero_point.dtype == np.uint8 else 0))
            for scale, zero_point in pairs
        )

    def float_operators(self, path: Path) -> int:
        """See `Target.float_operators`: of the graph as ONNX Runtime executes it on the CPU."""
        import onnxruntime  # here, because nothing else needs it

        with temporary_folder() as folder:
            executed = folder / "executed.onnx"
            options = onnxruntime.SessionOptions()
            options.optimized_model_filepath = str(executed)
            options.log_severity_level = 4
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            graph = onnx.load(executed).graph
        outputs = {output.name for output in graph.output}
        inside = [node for node in graph.node if not outputs & set(node.output)]
        return sum("QLinear" not in node.op_type and node.op_type not in MOVES_BYTES for node in inside)

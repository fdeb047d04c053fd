"""ONNX artifacts: uint8 NHWC image in, NHWC raw outputs out, metadata inside; FP32, FP16 or INT8 as QDQ.

The interface of all precisions:

    image (N, H, W, 3) uint8 RGB  ->  logits_p2, distances_p2, logits_p3, ...  (N, H/stride, W/stride, C) float32

INT8 is written as quantize/dequantize pairs around float operators. Runtimes fuse them: ONNX Runtime into QLinear
operators without a single float convolution or transpose left, OpenVINO into u8 kernels.

FP16 is for GPUs: on a CPU without float16 arithmetic ONNX Runtime computes it in float32, with casts in between.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch.fx import GraphModule, Node

from tinydet.converters.artifact import file_name, plan
from tinydet.converters.onnx_graph import NCHW_TO_NHWC, UINT8_SHIFT, Array, OnnxGraph, Translation
from tinydet.converters.onnx_rules import RULES
from tinydet.converters.target import Grid, Target
from tinydet.edge.artifact import METADATA_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.edge.files import atomic_path
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector

MOVES_BYTES = ("Resize", "MaxPool", "NhwcMaxPool", "Transpose", "Concat")  # these keep a uint8 tensor's grid


class HalfTranslation(Translation):
    """Weights and arithmetic in float16; the image and the outputs are as ever."""

    def stored(self, node: Any) -> Array:
        """See `Translation`."""
        return super().stored(node).astype(np.float16)

    def scalar(self, value: float) -> str:
        """See `Translation`."""
        return self.target.constant(f"value_{value!r}", np.array(value, np.float16))

    def _write_output(self, node: Node, name: str) -> None:
        value_nhwc = self.add(node, "Transpose", [self._apply_rule(node)], perm=NCHW_TO_NHWC)
        self.add(node, "Cast", [value_nhwc], to=TensorProto.FLOAT, output=name)


def export_onnx(
    loaded: LoadedDetector,
    folder: Path,
    *,
    precision: str,
    input_hw: tuple[int, int] | None = None,
    quantized: QuantizedNetwork | None = None,
) -> Path:
    """See `Export` in target.py. The same checkpoint and calibration give the same bytes."""
    graph, metadata = plan(loaded, precision=precision, input_hw=input_hw, quantized=quantized, tools=("onnx",))
    model = build_onnx(graph, metadata, HalfTranslation if precision == "fp16" else Translation)
    path = folder / file_name(metadata, "onnx")
    write_onnx(path, model, metadata)
    return path


def build_onnx(
    graph: GraphModule, metadata: ArtifactMetadata, translation: type[Translation] = Translation
) -> onnx.ModelProto:
    """The ONNX model, checked, of the captured or quantized `graph`."""
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


def record_accuracy(path: Path, accuracy: Accuracy, data: str) -> None:
    """See `Target` in target.py."""
    model = onnx.load(path)
    metadata = replace(_read_metadata(model, path), accuracy={**accuracy.as_dict(), "data": data})
    write_onnx(path, model, metadata)


def summary(path: Path) -> str:
    """How many convolutions the artifact has, and how many of them compute in INT8."""
    graph = onnx.load(path).graph
    producers = {output: node.op_type for node in graph.node for output in node.output}
    operands = [{producers.get(name) for name in node.input[:2]} for node in graph.node if node.op_type == "Conv"]
    int8 = sum(kinds == {"DequantizeLinear"} for kinds in operands)
    return f"{int8} of {len(operands)} convolutions in INT8"


def grid(path: Path) -> Grid:
    """See `Target` in target.py: the uint8 grids of all activations, shifted back by 128."""
    graph = onnx.load(path).graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    pairs = [
        (constants[node.input[1]], constants[node.input[2]])
        for node in graph.node
        if node.op_type == "QuantizeLinear" or (node.op_type == "DequantizeLinear" and len(node.input) > 2)
    ]
    return frozenset((scale.item(), zero_point.item() - UINT8_SHIFT) for scale, zero_point in pairs)


def float_operators(path: Path) -> int:
    """See `Target` in target.py: of the graph as ONNX Runtime executes it on the CPU."""
    import onnxruntime  # here, because only this question needs it

    with TemporaryDirectory() as folder:
        executed = Path(folder) / "executed.onnx"
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(executed)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(executed).graph
    outputs = {output.name for output in graph.output}
    inside = [node for node in graph.node if not outputs & set(node.output)]
    return sum("QLinear" not in node.op_type and node.op_type not in MOVES_BYTES for node in inside)


def _read_metadata(model: onnx.ModelProto, path: Path) -> ArtifactMetadata:
    for prop in model.metadata_props:
        if prop.key == METADATA_KEY:
            return ArtifactMetadata.from_json(prop.value)
    raise InputError(f"{path} carries no tinydet metadata: make artifacts with `tinydet export`")


def write_onnx(path: Path, model: onnx.ModelProto, metadata: ArtifactMetadata) -> None:
    """The model with the metadata inside; equal models and metadata give equal bytes."""
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    with atomic_path(path) as partial:
        partial.write_bytes(model.SerializeToString(deterministic=True))


TARGET = Target(
    precisions=("fp32", "fp16", "int8"),
    export=export_onnx,
    record_accuracy=record_accuracy,
    summary=summary,
    grid=grid,
    float_operators=float_operators,
)

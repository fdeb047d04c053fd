"""A detector small enough to reason about: it finds bright spots, exactly, and is built without training."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper, numpy_helper

from tinydet.edge.artifact import METADATA_KEY, ArtifactMetadata
from tinydet.edge.runtimes.openvino import GRAPH_KEY, WEIGHTS_KEY, ir_check_sum

SPOT_METADATA = ArtifactMetadata(
    model="spots",
    class_names=("spot",),
    input_hw=(64, 64),
    strides=(4, 8, 16),
    score_threshold=0.5,
    nms_iou_threshold=0.5,
    max_detections=1500,
    precision="fp32",
    checkpoint_sha256="0" * 64,
    tool_versions={"onnx": onnx.__version__},
)


def write_spot_detector(
    path: Path, metadata: ArtifactMetadata = SPOT_METADATA, *, metadata_json: str | None = ""
) -> Path:
    """An ONNX artifact whose P2 says, for class 0, (mean brightness of the cell's red - 200) / 10 as logit.

    Every box reaches one stride to each side of the cell's centre (8 px); the other classes and levels stay silent.
    `metadata_json` replaces the metadata's text; None leaves it out.
    """
    height, width = metadata.input_hw
    classes = len(metadata.class_names)
    nodes = [
        helper.make_node("Cast", ["image"], ["image_f32"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["image_f32"], ["image_nchw"], perm=[0, 3, 1, 2]),
    ]
    constants, outputs = [], []
    for stride in metadata.strides:
        level = stride.bit_length() - 1
        weight, bias = np.zeros((classes, 3, 1, 1), np.float32), np.full(classes, -20, np.float32)
        if stride == metadata.strides[0]:
            weight[0, 0], bias[0] = 0.1, -20
        constants += [
            numpy_helper.from_array(weight, f"weight_p{level}"),
            numpy_helper.from_array(bias, f"bias_p{level}"),
            numpy_helper.from_array(np.zeros((4, 3, 1, 1), np.float32), f"distance_weight_p{level}"),
            numpy_helper.from_array(np.ones(4, np.float32), f"distance_bias_p{level}"),
        ]
        pooled = f"pooled_p{level}"
        nodes.append(
            helper.make_node("AveragePool", ["image_nchw"], [pooled], kernel_shape=[stride] * 2, strides=[stride] * 2)
        )
        for name, prefix, channels in (("logits", "", classes), ("distances", "distance_", 4)):
            parts = [pooled, f"{prefix}weight_p{level}", f"{prefix}bias_p{level}"]
            nodes.append(helper.make_node("Conv", parts, [f"{name}_p{level}_nchw"]))
            nodes.append(
                helper.make_node("Transpose", [f"{name}_p{level}_nchw"], [f"{name}_p{level}"], perm=[0, 2, 3, 1])
            )
            shape: list[str | int | None] = ["N", height // stride, width // stride, channels]
            outputs.append(helper.make_tensor_value_info(f"{name}_p{level}", TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3])
    graph = helper.make_graph(nodes, "spots", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    if metadata_json is not None:
        helper.set_model_props(model, {"tinydet": metadata_json or metadata.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def write_spot_ir(path: Path, *, metadata_json: str | None = "") -> Path:
    """The same detector as an OpenVINO IR, as the export writes it."""
    source = write_spot_detector(path.with_suffix(".onnx"))
    model = openvino.Core().read_model(source)
    source.unlink()
    openvino.save_model(model, path, compress_to_fp16=False)
    weights_sha256 = hashlib.sha256(path.with_suffix(".bin").read_bytes()).hexdigest()
    if metadata_json is not None:
        model.set_rt_info(metadata_json or SPOT_METADATA.to_json(), [METADATA_KEY])
        model.set_rt_info(weights_sha256, [WEIGHTS_KEY])
        model.set_rt_info("0" * 8, [GRAPH_KEY])
    openvino.save_model(model, path, compress_to_fp16=False)
    sum_ir(path)
    return path


def sum_ir(path: Path) -> None:
    """Write the check sum of an .xml into it."""
    xml = path.read_bytes()
    path.write_bytes(re.sub(rf'(<{GRAPH_KEY} value=")[^"]*'.encode(), rf"\g<1>{ir_check_sum(xml)}".encode(), xml))


def spot_metadata(**changes: object) -> ArtifactMetadata:
    """`SPOT_METADATA` with some fields changed."""
    return replace(SPOT_METADATA, **changes)  # type: ignore[arg-type]  # any field

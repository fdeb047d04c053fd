"""The ONNX file for TensorRT: the demands of its parser, and the same outputs as the plain ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.networks import images, loaded_detector, quantized_network
from tinydet.converters.onnx import OnnxTarget
from tinydet.converters.target import target_name
from tinydet.converters.tensorrt import TensorRtTarget, symmetric_scale
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three precisions, and the plain ONNX files they are compared with."""
    folder = tmp_path_factory.mktemp("tensorrt")
    loaded, quantized = loaded_detector(), quantized_network()
    return {
        "fp32": TensorRtTarget().export(loaded, folder, precision="fp32"),
        "fp16": TensorRtTarget().export(loaded, folder, precision="fp16"),
        "int8": TensorRtTarget().export(loaded, folder, precision="int8", quantized=quantized),
        "onnx fp32": OnnxTarget().export(loaded, folder, precision="fp32"),
        "onnx int8": OnnxTarget().export(loaded, folder, precision="int8", quantized=quantized),
    }


def constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[Any]]:
    return {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}


def infer(path: Path) -> list[npt.NDArray[Any]]:
    with OnnxRuntime.open(path, threads=1) as runtime:
        return list(runtime.infer(np.stack(images(2, seed=7))))


@pytest.mark.parametrize(
    ("scale", "zero_point", "expected"),
    [
        (6 / 255, -128, 6 / 127),  # behind a ReLU6: all 255 steps are positive
        (1 / 255, -1, 128 / 255 / 127),  # 127 steps below zero, 128 above
        (0.1, 127, 25.5 / 127),  # nothing positive
    ],
)
def test_the_symmetric_grid_covers_the_asymmetric_one(scale: float, zero_point: int, expected: float) -> None:
    assert symmetric_scale(scale, zero_point) == pytest.approx(expected, rel=1e-6)


def test_every_quantized_tensor_is_int8_around_zero(paths: dict[str, Path]) -> None:
    graph = onnx.load(paths["int8"]).graph
    values = constants(graph)
    nodes = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(nodes) > 150
    for node in nodes:
        if len(node.input) > 2:
            assert values[node.input[2]].dtype == np.int8 and not values[node.input[2]].any()
        if node.input[0] in values:
            assert values[node.input[0]].dtype == np.int8, node.name
    assert {zero_point for _, zero_point in TensorRtTarget().grid(paths["int8"])} == {0}


def test_there_are_as_many_grids_as_in_plain_onnx(paths: dict[str, Path]) -> None:
    (onnx_graph, graph) = (onnx.load(paths[name]).graph for name in ("onnx int8", "int8"))
    shared, own = (
        [values[node.input[1]].item() for node in part.node if node.op_type == "QuantizeLinear"]
        for part, values in ((onnx_graph, constants(onnx_graph)), (graph, constants(graph)))
    )
    assert len(own) == len(shared)
    assert all(1 <= wide / narrow <= 256 / 127 for wide, narrow in zip(own, shared, strict=True))


@pytest.mark.parametrize("precision", TensorRtTarget().precisions)
def test_the_file_has_only_forms_that_the_parser_reads(paths: dict[str, Path], precision: str) -> None:
    model = onnx.load(paths[precision])
    assert (model.opset_import[0].version, model.ir_version) == (20, 9)
    consumers = [node.op_type for node in model.graph.node if "image" in node.input]
    assert consumers == ["Cast"]  # all that TensorRT does with uint8
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    biases = [node.input[2] for node in model.graph.node if node.op_type == "Conv" and len(node.input) > 2]
    assert biases and not any(bias in producers for bias in biases)
    float_type = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
    types = {constant.data_type for constant in model.graph.initializer if not constant.name.startswith("upsample")}
    assert types == {float_type} | ({TensorProto.INT8} if precision == "int8" else set())


def test_nothing_between_image_and_outputs_is_float(paths: dict[str, Path]) -> None:
    assert TensorRtTarget().float_operators(paths["int8"]) == 0
    assert TensorRtTarget().float_operators(paths["fp32"]) > 100
    convolutions = sum(node.op_type == "Conv" for node in onnx.load(paths["int8"]).graph.node)
    assert TensorRtTarget().summary(paths["int8"]) == f"{convolutions} of {convolutions} convolutions in INT8"


def test_float_outputs_are_those_of_plain_onnx(paths: dict[str, Path]) -> None:
    for got, want in zip(infer(paths["fp32"]), infer(paths["onnx fp32"]), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
    for got, want in zip(infer(paths["fp16"]), infer(paths["onnx fp32"]), strict=True):
        assert got.dtype == np.float32
        assert np.abs(got - want).max() < 0.05 * want.std()


def test_int8_outputs_correlate_with_float(paths: dict[str, Path]) -> None:
    """The grid has half the steps of the shared one, so bounds are wider than in tests/parity."""
    for got, shared, want in zip(*(infer(paths[name]) for name in ("int8", "onnx int8", "onnx fp32")), strict=True):
        assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.97
        assert np.abs(got - want).mean() < 3 * np.abs(shared - want).mean()


def test_metadata_is_that_of_plain_onnx(paths: dict[str, Path]) -> None:
    for precision in ("fp32", "int8"):
        both = [OnnxRuntime.open(paths[name], threads=1).metadata for name in (precision, f"onnx {precision}")]
        assert both[0] == both[1]
    assert OnnxRuntime.open(paths["fp16"], threads=1).metadata.precision == "fp16"


def test_the_same_bytes_again(paths: dict[str, Path], tmp_path: Path) -> None:
    again = TensorRtTarget().export(loaded_detector(), tmp_path, precision="int8", quantized=quantized_network())
    assert again.name == "n-128px-int8.tensorrt.onnx"
    assert again.read_bytes() == paths["int8"].read_bytes()
    assert target_name(again) == "tensorrt"

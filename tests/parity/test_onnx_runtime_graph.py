"""The graph that ONNX Runtime executes is INT8, operator by operator."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
import onnxruntime
import pytest

from tests.networks import detector, loaded_detector, quantized_graph, quantized_network
from tinydet.converters.onnx import OnnxTarget
from tinydet.training.model.config import Fbsm


def optimized(artifact: Path, folder: Path) -> onnx.GraphProto:
    """The graph that ONNX Runtime executes."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimized.onnx").graph


@pytest.fixture(scope="module")
def int8_graph(tmp_path_factory: pytest.TempPathFactory) -> onnx.GraphProto:
    folder = tmp_path_factory.mktemp("optimized")
    return optimized(
        OnnxTarget().export(loaded_detector(), folder, quantized=quantized_network(), precision="int8"), folder
    )


def operators(graph: onnx.GraphProto, scope: str = "") -> Counter[str]:
    """How many of each operator there are below the modules whose path starts with `scope`."""
    return Counter(node.op_type for node in graph.node if node.name.startswith(scope))


def test_every_convolution_is_integer(int8_graph: onnx.GraphProto) -> None:
    found = operators(int8_graph)
    assert found["QLinearConv"] == 78
    assert found["Conv"] == found["FusedConv"] == found["ConvInteger"] == 0


def test_float_is_left_at_the_outputs_only(int8_graph: onnx.GraphProto) -> None:
    """No ReLU6, no pair of quantize and dequantize, no transpose remains: values stay bytes from image to outputs."""
    assert dict(operators(int8_graph)) == {
        "QLinearConv": 78,
        "QLinearAdd": 16,
        "QLinearMul": 4,
        "QLinearSigmoid": 4,
        "QLinearGlobalAveragePool": 1,
        "Resize": 4,
        "NhwcMaxPool": 1,
        "DequantizeLinear": 6,
    }
    outputs = {output.name for output in int8_graph.output}
    assert {node.output[0] for node in int8_graph.node if node.op_type == "DequantizeLinear"} == outputs


def test_the_global_branch_of_cem_is_integer(int8_graph: onnx.GraphProto) -> None:
    found = operators(int8_graph, "neck.cem")
    assert found["QLinearConv"] == 3
    assert found["QLinearGlobalAveragePool"] == found["QLinearSigmoid"] == found["QLinearMul"] == 1
    assert {name for name in found if "QLinear" not in name} == {"Resize", "NhwcMaxPool"}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_gates_of_fbsm_are_integer(int8_graph: onnx.GraphProto, level: int) -> None:
    assert dict(operators(int8_graph, f"neck.gates.{level}")) == {
        "QLinearConv": 2,
        "QLinearSigmoid": 1,
        "QLinearAdd": 1,
        "QLinearMul": 1,
    }


@pytest.mark.parametrize(
    ("neck", "cem", "fbsm", "gates", "convolutions"),
    [
        ("efpn-bs", False, "gate", 3, 60),
        ("efpn-bs", True, "off", 1, 72),
        ("efpn-bs", True, "teacher", 1, 72),
        ("fpn", False, "off", 0, 82),
    ],
)
def test_other_necks_are_integer_too(
    tmp_path: Path, *, neck: str, cem: bool, fbsm: Fbsm, gates: int, convolutions: int
) -> None:
    loaded = replace(loaded_detector(), model=detector(neck, cem=cem, fbsm=fbsm))
    network = replace(quantized_network(), graph=quantized_graph(neck, cem=cem, fbsm=fbsm))
    found = operators(optimized(OnnxTarget().export(loaded, tmp_path, quantized=network, precision="int8"), tmp_path))
    assert found["QLinearConv"] == convolutions
    assert found["QLinearSigmoid"] == found["QLinearMul"] == gates
    assert not {name for name in found if "QLinear" not in name} - {"Resize", "NhwcMaxPool", "DequantizeLinear"}

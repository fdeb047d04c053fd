"""The ONNX artifacts against the network they were made from, number by number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.fx import GraphModule

from tests.networks import calibrated, detector, images, loaded_detector, quantized_graph, quantized_network
from tinydet.converters.onnx import OnnxTarget
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime
from tinydet.quantization.export_graph import FlatOutputs, as_batch
from tinydet.quantization.pt2e import QUANTIZE

Outputs = list[npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return OnnxTarget().export(loaded_detector(), tmp_path_factory.mktemp("fp32"), precision="fp32")


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return OnnxTarget().export(
        loaded_detector(), tmp_path_factory.mktemp("int8"), quantized=quantized_network(), precision="int8"
    )


def run_onnx(path: Path, image: npt.NDArray[np.uint8], *, exact: bool = False) -> Outputs:
    with OnnxRuntime.open(path, threads=1, exact=exact) as runtime:
        return runtime.infer(image[None])


@torch.no_grad()
def run_torch(network: torch.nn.Module, image: npt.NDArray[np.uint8]) -> Outputs:
    return [output.permute(0, 2, 3, 1).numpy() for output in network(as_batch(image))]


def output_steps(graph: GraphModule) -> list[float]:
    """Step of each output's grid."""
    outputs: Any = graph.graph.output_node().args[0]
    return [output.args[1] for output in outputs]


def test_fp32_equals_the_network(fp32: Path) -> None:
    (image,) = images(1, seed=7)
    expected = run_torch(FlatOutputs(detector()), image)
    assert min(float(output.std()) for output in expected) > 0.1, "outputs that say nothing would prove nothing"
    for got, want in zip(run_onnx(fp32, image), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


def test_int8_equals_the_quantized_network_within_a_few_steps(int8: Path) -> None:
    """Not bit for bit: where float and integer sums round a tie apart, the difference grows with depth."""
    graph = quantized_graph()
    (image,) = images(1, seed=7)
    for got, want, step in zip(run_onnx(int8, image), run_torch(graph, image), output_steps(graph), strict=True):
        steps = np.abs(got - want) / step
        assert steps.mean() < 5
        assert np.percentile(steps, 99) < 20


def test_int8_outputs_correlate_with_the_network_s(int8: Path) -> None:
    (image,) = images(1, seed=7)
    for got, want in zip(run_onnx(int8, image), run_torch(FlatOutputs(detector()), image), strict=True):
        assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.975


def test_float_blocks_are_computed_in_float(tmp_path: Path) -> None:
    """The stem stands between the image's bytes and the INT8 `stages.0`, where ONNX Runtime would round its weights."""
    calibration = calibrated(detector(), images(4, seed=2))
    mixed = calibration.with_float([block for block in calibration.blocks if block != "stages.0"])
    network = replace(quantized_network(), graph=mixed.quantized_graph("min-max"), float_blocks=mixed.float_blocks)
    path = OnnxTarget().export(loaded_detector(), tmp_path, quantized=network, precision="int8")
    (image,) = images(1, seed=7)
    for got, want in zip(run_onnx(path, image), run_torch(mixed.quantized_graph("min-max"), image), strict=True):
        assert np.abs(got - want).mean() < 0.015 * want.std()


def test_int8_is_the_same_with_exact_sums(int8: Path) -> None:
    """On x86 without VNNI sums of two products saturate at 16 bits; the weights' range keeps them below."""
    for image in (*images(2, seed=8), np.full((128, 128, 3), 255, np.uint8)):
        for got, want in zip(run_onnx(int8, image), run_onnx(int8, image, exact=True), strict=True):
            np.testing.assert_array_equal(got, want)


def test_a_batch_equals_its_images_one_by_one(int8: Path) -> None:
    batch = np.stack(images(3, seed=9))
    with OnnxRuntime.open(int8, threads=1) as runtime:
        together = runtime.infer(batch)
    for index, image in enumerate(batch):
        for got, want in zip(together, run_onnx(int8, image), strict=True):
            np.testing.assert_array_equal(got[index], want[0])


def test_grids_in_the_file_are_those_of_the_quantized_network(int8: Path) -> None:
    """Bit for bit: the int8 grid shifted by 128."""
    expected = [
        (np.float32(node.args[1]), node.args[2] + 128)
        for node in quantized_graph().graph.nodes
        if node.target == QUANTIZE
    ]
    graph = onnx.load(int8).graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    written = [
        (constants[node.input[1]].item(), constants[node.input[2]].item())
        for node in graph.node
        if node.op_type == "QuantizeLinear"
    ]
    assert len(written) == 109
    assert written == expected
    assert {constants[node.input[2]].dtype for node in graph.node if node.op_type == "QuantizeLinear"} == {
        np.dtype(np.uint8)
    }

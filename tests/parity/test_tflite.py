"""INT8 TFLite artifacts of `n`, as `tinydet export` writes them, against ONNX Runtime and against the network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("litert_torch")

from ai_edge_litert.interpreter import Interpreter

from tests.networks import INPUT_HW, INPUT_PX, detector, images
from tests.paths import REPOSITORY
from tinydet.converters.onnx import OnnxTarget
from tinydet.converters.tflite import TfliteTarget
from tinydet.converters.tflite_graph import INT8, INT32, Operator, operators
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.commands.cli import main
from tinydet.edge.evaluation.average_precision import METRIC_KEYS, Accuracy
from tinydet.edge.files.images import write_image
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.tflite_file import read_tflite
from tinydet.quantization.export_graph import capture
from tinydet.quantization.quantizer import CONVOLUTION, SIGMOID_OP, aten
from tinydet.training.checkpoint import save_detector

pytestmark = pytest.mark.slow  # litert-torch takes a third of a minute for each artifact

ACCURACY = Accuracy(overall=dict.fromkeys(METRIC_KEYS, 0.5), per_class={"person": dict.fromkeys(METRIC_KEYS, 0.25)})
OPERATORS = {
    "CONV_2D": CONVOLUTION,
    "ADD": aten.add.Tensor,
    "MUL": aten.mul.Tensor,
    "LOGISTIC": SIGMOID_OP,
    "MEAN": aten.adaptive_avg_pool2d.default,
    "MAX_POOL_2D": aten.max_pool2d.default,
    "RESIZE_NEAREST_NEIGHBOR": aten.upsample_nearest2d.vec,
}

Outputs = list[npt.NDArray[np.float32]]


def export_command(folder: Path, form: str, out: Path) -> list[str]:
    options = ["--format", form, "--precision", "int8", "--calibration", str(folder / "calibration")]
    return ["export", str(folder / "best.safetensors"), *options, "--out", str(out)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, calibration images, and in `artifacts` the artifacts made of them."""
    folder = tmp_path_factory.mktemp("tflite")
    save_detector(folder / "best.safetensors", detector(), input_px=INPUT_PX, training={})
    for index, image in enumerate(images(4, seed=2)):
        write_image(folder / "calibration" / f"{index}.png", image)
    for form in ("onnx", "tflite"):
        assert main(export_command(folder, form, folder / "artifacts")) == 0
    return folder


def artifact(folder: Path, ending: str) -> Path:
    return folder / "artifacts" / f"n-{INPUT_PX}px-int8.{ending}"


def run(path: Path, image: npt.NDArray[np.uint8]) -> Outputs:
    with open_runtime(path, threads=1) as runtime:
        return runtime.infer(image[None])


def int8_operators(folder: Path) -> list[Operator]:
    return list(operators(read_tflite(artifact(folder, "tflite")).model))


def metadata_of(path: Path) -> ArtifactMetadata:
    with open_runtime(path) as runtime:
        return runtime.metadata


def test_int8_has_no_float_and_moves_nothing(folder: Path) -> None:
    found = int8_operators(folder)
    tensors = [tensor for operator in found for tensor in (*operator.inputs, *operator.outputs)]
    assert {tensor.type for tensor in tensors} == {INT8, INT32}
    assert not {operator.name for operator in found} & {"TRANSPOSE", "DEQUANTIZE", "QUANTIZE", "CAST", "RESHAPE"}
    assert TfliteTarget().float_operators(artifact(folder, "tflite")) == 0


def test_int8_has_the_operators_of_the_network(folder: Path) -> None:
    """Each operator once, plus the padding of strided convolutions."""
    nodes = Counter(node.target for node in capture(detector(), INPUT_HW).graph.nodes)
    expected = {name: nodes[target] for name, target in OPERATORS.items()}
    assert min(expected.values()) > 0
    found = Counter(operator.name.removeprefix("DEPTHWISE_") for operator in int8_operators(folder))
    del found["PAD"]
    assert found == expected


def test_grids_are_those_of_onnx_bit_for_bit(folder: Path) -> None:
    expected = OnnxTarget().grid(artifact(folder, "onnx"))
    assert len(expected) > 20
    assert TfliteTarget().grid(artifact(folder, "tflite")) == expected


def test_int8_equals_onnx_runtime_within_a_few_steps(folder: Path) -> None:
    """An untrained network magnifies a tie that is rounded apart; `tinydet parity` on `n` sees a mean of 0.03 steps."""
    model, metadata, _ = read_tflite(artifact(folder, "tflite"))
    details = Interpreter(model_content=model).get_signature_runner().get_output_details()
    for image in images(2, seed=8):
        both = (run(artifact(folder, ending), image) for ending in ("tflite", "onnx"))
        for got, want, name in zip(*both, metadata.output_shapes, strict=True):
            step, _ = details[name]["quantization"]
            assert np.abs(got - want).mean() / step < 5


def test_metadata_is_that_of_onnx_but_for_the_tools(folder: Path) -> None:
    ours, others = (metadata_of(artifact(folder, ending)) for ending in ("tflite", "onnx"))
    assert set(ours.tool_versions) - set(others.tool_versions) == {"litert-torch", "litert-converter"}
    assert replace(ours, tool_versions={}) == replace(others, tool_versions={})


def test_measured_accuracy_changes_the_metadata_alone(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "n.tflite"
    path.write_bytes(artifact(folder, "tflite").read_bytes())
    old_model, old_metadata, _ = read_tflite(path)
    TfliteTarget().record_accuracy(path, ACCURACY, "val.json")
    model, metadata, _ = read_tflite(path)
    assert metadata.accuracy == {**ACCURACY.as_dict(), "data": "val.json"}
    assert replace(metadata, accuracy=None) == old_metadata
    assert model == old_model
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_another_process_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """All steps anew: read, captured, calibrated and converted, with another order of hashes."""
    command = [sys.executable, "-m", "tinydet", *export_command(folder, "tflite", tmp_path)]
    environment: dict[str, Any] = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    first = artifact(folder, "tflite")
    content = (tmp_path / first.name).read_bytes()
    assert content == first.read_bytes()
    assert str(REPOSITORY).encode() not in content
    assert str(tmp_path).encode() not in content

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.models import SPOT_METADATA, spot_metadata, write_spot_detector
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.onnx_runtime import CPU, OnnxRuntime
from tinydet.edge.runtimes.opening import open_runtime


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, r"spots\.onnx: artifact metadata: schema_version is 99"),
        ({"input_hw": [128, 128]}, r"promises one uint8 image \(N, 128, 128, 3\) as input, the graph has image"),
        ({"strides": [4, 8]}, "expected the outputs logits_p2, distances_p2, logits_p3, distances_p3, the graph has"),
    ],
)
def test_contradictory_metadata_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    metadata_json = json.dumps(json.loads(SPOT_METADATA.to_json()) | changes)
    with pytest.raises(InputError, match=message):
        open_runtime(write_spot_detector(tmp_path / "spots.onnx", metadata_json=metadata_json))


def test_outputs_of_another_size_are_named(tmp_path: Path) -> None:
    two_classes = spot_metadata(class_names=("spot", "blob"))
    path = write_spot_detector(tmp_path / "spots.onnx", metadata_json=two_classes.to_json())
    with pytest.raises(InputError, match="output logits_p2: metadata promises"):
        open_runtime(path)


def test_a_package_without_the_device_is_named(tmp_path: Path) -> None:
    if set(OnnxRuntime.devices()) & {"gpu", "tensorrt"}:
        pytest.skip("this onnxruntime has CUDA")
    path = write_spot_detector(tmp_path / "spots.onnx")
    for device, provider in (("gpu", "CUDA"), ("tensorrt", "CUDAExecutionProvider, Tensorrt")):
        with pytest.raises(InputError, match=f"on {device}: .* was built without {provider}.*; onnxruntime-gpu has it"):
            open_runtime(path, device=device)


def test_another_device_than_asked_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime by itself falls back to the CPU if CUDA's libraries are missing."""
    path = write_spot_detector(tmp_path / "spots.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", CPU])
    with pytest.raises(InputError, match=r"cannot run .* on gpu: "), pytest.warns(match="provider"):
        open_runtime(path, device="gpu")
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: ["XnnpackExecutionProvider"])
    with pytest.raises(InputError, match=r"cannot run .* on cpu: onnxruntime chose"):
        open_runtime(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [("nowhere.onnx", r"nowhere\.onnx does not exist"), ("xl", r"expected a file, or a bundled size \(n, s\)")],
)
def test_a_model_that_is_nowhere(model: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_runtime(model)


def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.touch()
    with pytest.raises(InputError, match=r"expected a file ending in .*\.onnx, "):
        open_runtime(path)


def test_threads_are_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="threads: expected a whole number, 1 to 256, got 0"):
        open_runtime(write_spot_detector(tmp_path / "spots.onnx"), threads=0)


def write_int8_convolution(path: Path, weight: npt.NDArray[np.int8]) -> Path:
    """An artifact whose P2 logits are an INT8 convolution over 4x4 cells: u8 image, s8 weights (48, 1 channel out)."""
    metadata = spot_metadata(input_hw=(64, 64), strides=(4,), precision="int8", quantization="ptq")
    zero_u8, zero_s8 = np.zeros((), np.uint8), np.zeros((), np.int8)
    constants = {
        "weight": weight.reshape(1, 3, 4, 4),
        "one": np.ones((), np.float32),
        "zero_u8": zero_u8,
        "zero_s8": zero_s8,
        "step": np.float32(2**14).reshape(()),
        "middle": np.full((), 128, np.uint8),
        "nothing": np.zeros((4, 3, 4, 4), np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["u8"], perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["u8", "one", "zero_u8"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "one", "zero_s8"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["conv"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("QuantizeLinear", ["conv", "step", "middle"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "middle"], ["y"]),
        helper.make_node("Transpose", ["y"], ["logits_p2"], perm=[0, 2, 3, 1]),
        helper.make_node("Conv", ["x", "nothing"], ["d"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Transpose", ["d"], ["distances_p2"], perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "int8",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 64, 64, 3])],
        [
            helper.make_tensor_value_info("logits_p2", TensorProto.FLOAT, [1, 16, 16, 1]),
            helper.make_tensor_value_info("distances_p2", TensorProto.FLOAT, [1, 16, 16, 4]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    helper.set_model_props(model, {"tinydet": metadata.to_json()})
    onnx.save(model, path)
    return path


def largest_error(runtime: OnnxRuntime, weight: npt.NDArray[np.int8], image: npt.NDArray[np.uint8]) -> float:
    """Differences of the quantized sums from integer arithmetic, in steps of the output's grid."""
    step = 2**14
    cells = image[0].reshape(16, 4, 16, 4, 3).transpose(0, 2, 4, 1, 3).reshape(16, 16, 48).astype(np.int64)
    exact = np.clip(np.round(cells @ weight.astype(np.int64) / step), -128, 127)
    return float(np.abs(runtime.infer(image)[0][0, :, :, 0] / step - exact).max())


@pytest.mark.parametrize("exact", [False, True])
def test_int8_sums_are_exact_where_no_pair_of_products_exceeds_16_bits(tmp_path: Path, exact: bool) -> None:
    random = np.random.default_rng(0)
    weight = random.integers(-64, 65, 48).astype(np.int8)
    runtime = OnnxRuntime.open(write_int8_convolution(tmp_path / "x.onnx", weight), threads=1, exact=exact)
    image = random.integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    assert largest_error(runtime, weight, image) <= 1


def test_exact_int8_sums_do_not_saturate(tmp_path: Path) -> None:
    weight = np.full(48, 127, np.int8)
    runtime = OnnxRuntime.open(write_int8_convolution(tmp_path / "x.onnx", weight), threads=1, exact=True)
    assert largest_error(runtime, weight, np.full((1, 64, 64, 3), 255, np.uint8)) <= 1

"""Quantized networks as files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.networks import CALIBRATION, INPUT_HW, calibrated, images, loaded_detector, quantized_network
from tinydet.converters.onnx import OnnxTarget
from tinydet.edge.errors import InputError
from tinydet.quantization.export_graph import as_batch
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.quantization.quantized_file import is_quantized, load_quantized, save_quantized
from tinydet.training.checkpoint import load_detector, load_tensors, save_tensors


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "n.safetensors"
    save_quantized(path, loaded_detector(), quantized_network(), history={"methods": {"min-max": 1.0}})
    return path


def test_every_number_comes_back(state: Path) -> None:
    read = load_quantized(state)
    assert is_quantized(state)
    assert read.history == {"methods": {"min-max": 1.0}}
    assert (read.network.method, read.network.calibration) == ("ptq", CALIBRATION)
    assert read.loaded.sha256 == loaded_detector().sha256
    x = as_batch(images(1, seed=9)[0])
    with torch.no_grad():
        for got, want in zip(read.network.graph(x), quantized_network().graph(x), strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=0)
        for name, tensor in loaded_detector().model.state_dict().items():
            torch.testing.assert_close(read.loaded.model.state_dict()[name], tensor, rtol=0, atol=0)


def test_the_fbsm_flag_of_an_earlier_version_loads(state: Path, tmp_path: Path) -> None:
    tensors, metadata = load_tensors(state)
    metadata["model"]["fbsm"] = True
    save_tensors(tmp_path / "n.safetensors", tensors, metadata)
    assert load_quantized(tmp_path / "n.safetensors").loaded.model.config.fbsm == "gate"


def test_the_same_network_gives_the_same_bytes(state: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    read = load_quantized(state)
    save_quantized(again, read.loaded, read.network, history=read.history)
    assert again.read_bytes() == state.read_bytes()
    artifacts = [
        OnnxTarget().export(loaded, tmp_path / name, precision="int8", quantized=network).read_bytes()
        for name, loaded, network in (
            ("read", read.loaded, read.network),
            ("made", loaded_detector(), quantized_network()),
        )
    ]
    assert artifacts[0] == artifacts[1]


def test_float_blocks_come_back(tmp_path: Path) -> None:
    calibration = calibrated(loaded_detector().model, images(1), float_blocks=["cem"])
    network = QuantizedNetwork(
        graph=calibration.quantized_graph("mse"),
        input_hw=INPUT_HW,
        method="ptq",
        calibration=CALIBRATION,
        float_blocks=calibration.float_blocks,
    )
    save_quantized(tmp_path / "n.safetensors", loaded_detector(), network, history={})
    read = load_quantized(tmp_path / "n.safetensors").network
    assert read.float_blocks == ("cem",)
    x = as_batch(images(1, seed=9)[0])
    for got, want in zip(read.graph(x), network.graph(x), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_it_is_refused_as_a_float_checkpoint(state: Path) -> None:
    with pytest.raises(InputError, match="is quantized already: expected a float checkpoint"):
        load_detector(state)


def test_another_version_s_graph_is_refused(state: Path, tmp_path: Path) -> None:
    tensors, metadata = load_tensors(state)
    tensors.pop(next(name for name in tensors if name.startswith("int8/")))
    save_tensors(tmp_path / "n.safetensors", tensors, metadata)
    with pytest.raises(InputError, match="quantized by another version of tinydet or torchao: quantize it again"):
        load_quantized(tmp_path / "n.safetensors")


@pytest.mark.parametrize(("bits", "readable"), [(8, True), (6, False)])
def test_files_of_earlier_versions_name_their_grid(state: Path, tmp_path: Path, *, bits: int, readable: bool) -> None:
    """The 8-bit grid with a scale per channel is read; experimental ones are refused."""
    tensors, metadata = load_tensors(state)
    grid = {"activation_bits": bits, "weights_per_channel": True}
    save_tensors(tmp_path / "n.safetensors", tensors, {**metadata, "grid": grid})
    with nullcontext() if readable else pytest.raises(InputError, match="on an experimental grid"):
        assert load_quantized(tmp_path / "n.safetensors").network.method == "ptq"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("scale", float("nan"), "are NaN or infinite"),
        ("scale", float("inf"), "are NaN or infinite"),
        ("scale", 0.0, "expected scales above 0"),
        ("scale", -1.0, "expected scales above 0"),
        ("zero_point", 3, "zero points of 0"),
        ("activations", [0.0, 0], r"activations\..*\[0\]: expected above 0"),
        ("activations", [-1.0, 0], "expected above 0"),
        ("activations", [0.1, 300], "expected -128 to 127"),
        ("activations", [0.1], "expected 2 values"),
        ("input_hw", [2**40, 64], r"input_hw\[0\]: expected a multiple of 64"),
        ("input_hw", [100, 64], r"input_hw\[0\]: expected a multiple of 64"),
        ("method", "ptqq", "method: expected ptq or qat"),
        ("checkpoint_sha256", "abc", "64 hexadecimal digits"),
        ("calibraton", {}, r"did you mean calibration\?"),
    ],
)
def test_senseless_numbers_are_refused(state: Path, tmp_path: Path, place: str, value: Any, message: str) -> None:
    tensors, metadata = load_tensors(state)
    if place in ("scale", "zero_point"):
        name = next(name for name in tensors if name.startswith(f"int8/_{place}"))
        tensors[name] = torch.full_like(tensors[name], value)
    elif place == "activations":
        metadata[place][next(iter(metadata[place]))] = value
    else:
        metadata[place] = value
    save_tensors(tmp_path / "n.safetensors", tensors, metadata)
    with pytest.raises(InputError, match=message):
        load_quantized(tmp_path / "n.safetensors")

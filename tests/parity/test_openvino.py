"""The OpenVINO artifacts against the ONNX artifacts of the same network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import pytest

from tests.networks import images, loaded_detector, quantized_network
from tinydet.converters.onnx import OnnxTarget
from tinydet.converters.openvino import OpenvinoTarget
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.openvino import read_ir


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """n-128px-{fp32,fp16,int8}.onnx and n-128px-{fp16,int8}.xml."""
    path = tmp_path_factory.mktemp("artifacts")
    OnnxTarget().export(loaded_detector(), path, precision="fp32")
    OnnxTarget().export(loaded_detector(), path, precision="fp16")
    OnnxTarget().export(loaded_detector(), path, precision="int8", quantized=quantized_network())
    OpenvinoTarget().export(loaded_detector(), path, precision="fp16")
    OpenvinoTarget().export(loaded_detector(), path, precision="int8", quantized=quantized_network())
    return path


@pytest.fixture(scope="module")
def int8(folder: Path) -> Path:
    return folder / "n-128px-int8.xml"


def run(path: Path, seed: int = 7) -> list[npt.NDArray[np.float32]]:
    with open_runtime(path, threads=1) as runtime:
        return list(runtime.infer(images(1, seed=seed)[0][None]))


@pytest.mark.parametrize("ending", ["xml", "onnx"])
def test_fp16_equals_fp32_but_for_rounding(folder: Path, ending: str) -> None:
    for got, want in zip(run(folder / f"n-128px-fp16.{ending}"), run(folder / "n-128px-fp32.onnx"), strict=True):
        assert 0 < np.abs(got - want).max() < 0.02 * want.std() + 0.05


@pytest.mark.parametrize("ending", ["bin", "onnx"])
def test_fp16_weights_take_half_the_space(folder: Path, ending: str) -> None:
    fp32 = (folder / "n-128px-fp32.onnx").stat().st_size
    assert 0.45 < (folder / f"n-128px-fp16.{ending}").stat().st_size / fp32 < 0.55


def test_int8_equals_onnx_within_a_few_steps(folder: Path, int8: Path) -> None:
    for got, want in zip(run(int8), run(folder / "n-128px-int8.onnx"), strict=True):
        gaps = np.diff(np.unique(want))
        step = gaps[gaps > (want.max() - want.min()) / 4096].min()
        assert np.abs(got - want).mean() / step < 5


def test_grids_equal_those_of_onnx(folder: Path, int8: Path) -> None:
    expected = OnnxTarget().grid(folder / "n-128px-int8.onnx")
    assert len(expected) > 20
    assert OpenvinoTarget().grid(int8) == expected


def test_every_convolution_computes_in_8_bits(int8: Path) -> None:
    assert OpenvinoTarget().float_operators(int8) == 0
    found = re.search(r"(\d+) of (\d+) convolutions in INT8", OpenvinoTarget().summary(int8))
    assert found is not None
    assert found[1] == found[2]
    assert int(found[1]) > 50


def test_on_arm_int8_is_computed_in_float(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's INT8 kernels give empty outputs on Arm; the grid stays, so results are close to INT8's."""
    expected = run(int8)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert re.search(r" 0 of \d+ convolutions in INT8", OpenvinoTarget().summary(int8))
    for got, want in zip(run(int8), expected, strict=True):
        assert np.abs(got - want).mean() < 0.1 * np.abs(want).mean() + 1e-3


def test_the_same_network_gives_the_same_bytes(int8: Path, tmp_path: Path) -> None:
    again = OpenvinoTarget().export(loaded_detector(), tmp_path, precision="int8", quantized=quantized_network())
    for ending in (".xml", ".bin"):
        assert again.with_suffix(ending).read_bytes() == int8.with_suffix(ending).read_bytes()


def test_metadata_equals_that_of_onnx(folder: Path, int8: Path) -> None:
    _, ir = read_ir(openvino.Core(), int8)
    with open_runtime(folder / "n-128px-int8.onnx", threads=1) as runtime:
        onnx = runtime.metadata
    tools = dict(ir.tool_versions)
    assert tools.pop("openvino")
    assert tools == onnx.tool_versions
    assert vars(ir) | {"tool_versions": 0} == vars(onnx) | {"tool_versions": 0}


def test_recording_an_accuracy_changes_the_metadata_only(int8: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    for ending in (".xml", ".bin"):
        path.with_suffix(ending).write_bytes(int8.with_suffix(ending).read_bytes())
    OpenvinoTarget().record_accuracy(path, Accuracy(overall={"AP": 0.5}, per_class={}), "data")
    _, metadata = read_ir(openvino.Core(), path)
    assert metadata.accuracy is not None
    assert metadata.accuracy["data"] == "data"
    assert path.with_suffix(".bin").read_bytes() == int8.with_suffix(".bin").read_bytes()
    before, after = (re.sub(r'<tinydet value="[^"]*"', "<tinydet", file.read_text()) for file in (int8, path))
    assert before == after
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.xml"]

from __future__ import annotations

import json
import resource
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.networks import INPUT_PX
from tinydet.converters.commands.shared import gate_data, load_model
from tinydet.edge.commands.cli import main
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime


def test_int8_measured(checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--precision", "int8", "--calibration", str(dataset), "--data", str(dataset), "--size", "64"]
    assert main(["export", str(checkpoint), *options, "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    with OnnxRuntime.open(path, threads=1) as runtime:
        metadata = runtime.metadata
    assert metadata.input_hw == (64, 64)
    assert metadata.calibration is not None
    assert metadata.calibration["images"] == ["0.png", "1.png", "2.png"]
    assert metadata.accuracy is not None
    assert metadata.accuracy["data"] == str(dataset / "annotations" / "val.json")
    said = capsys.readouterr()
    assert said.out == ""
    assert f"wrote {path}: 3.4 MB, 78 of 78 convolutions in INT8" in said.err
    assert f"next: tinydet profile {path} --data {dataset}" in said.err


def test_an_input_of_the_cameras_shape(checkpoint: Path, tmp_path: Path) -> None:
    assert main(["export", str(checkpoint), "--size", "192x128", "--out", str(tmp_path)]) == 0
    with OnnxRuntime.open(tmp_path / "n-192x128px-fp32.onnx", threads=1) as runtime:
        assert runtime.metadata.input_hw == (128, 192)
        assert runtime.infer(np.zeros((1, 128, 192, 3), np.uint8))[0].shape[1:3] == (32, 48)


def test_fp32(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "new" / "folder")]) == 0
    path = tmp_path / "new" / "folder" / f"n-{INPUT_PX}px-fp32.onnx"
    assert path.is_file()
    assert f"next: tinydet evaluate {path}" in capsys.readouterr().err


def test_all_writes_what_can_be_written_and_names_the_rest(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `pip install 'tinydet[convert]'`, which does not bring litert_torch."""
    monkeypatch.delitem(sys.modules, "tinydet.converters.tflite", raising=False)
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    command = ["export", str(checkpoint), "--size", "64", "--out", str(tmp_path)]
    assert main([*command, "--format", "all", "--precision", "all"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "n-64px-fp16.bin",
        "n-64px-fp16.onnx",
        "n-64px-fp16.tensorrt.onnx",
        "n-64px-fp16.xml",
        "n-64px-fp32.onnx",
        "n-64px-fp32.tensorrt.onnx",
    ]
    install = "tflite artifacts need litert_torch: pip install 'tinydet[tflite-convert]'"
    left_out = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert left_out == [f"left out: {install}", "left out: int8 needs calibration images: add --calibration DIR"]

    assert main([*command, "--format", "all"]) == 0
    assert "left out: openvino has no fp32, only fp16, int8" in capsys.readouterr().err

    assert main([*command, "--format", "tflite"]) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {install}"]
    monkeypatch.setattr("tinydet.converters.target.LITERT_TORCH_PYTHON", (3, 99))
    assert main([*command, "--format", "tflite"]) == 2
    assert "[tflite-convert]' under Python 3.11 or 3.12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "int8"], "--precision int8 needs --calibration DIR: a folder of images like those"),
        (["--precision", "int8", "--calibration", "nowhere"], "data set nowhere does not exist"),
        (["--calibration", "nowhere"], "--calibration has no effect with --precision fp32"),
        (["--size", "100"], "multiples of 64 px, got 100x100"),
        (["--size", "0"], "--size: expected at most 8192 pixels, as in 384 or 640x384, got '0'"),
        (["--size", "64x100"], "multiples of 64 px, got 64x100"),
        (["--size", "wide"], "--size: expected at most 8192 pixels, as in 384 or 640x384, got 'wide'"),
        (["--data", "nowhere"], "data set nowhere does not exist"),
        (["--format", "coreml"], "--format: expected one of onnx"),
        (["--format", "openvino"], "cannot be written with --precision fp32: openvino has no fp32, only fp16, int8"),
        (["--float-blocks", "cem"], "--float-blocks has no effect with --precision fp32"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["export", str(checkpoint), *options, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "file" / "out")]) == 2
    assert "cannot write into folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_artifact_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.onnx").write_bytes(b"")
    assert main(["export", str(tmp_path / "n.onnx"), "--out", str(tmp_path / "out")]) == 2
    assert "expected a checkpoint (.safetensors) or a bundled model" in capsys.readouterr().err


def test_a_broken_calibration_image_leaves_no_artifact(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"\x89PNG")
    options = ["--precision", "int8", "--calibration", str(tmp_path / "images")]
    assert main(["export", str(checkpoint), *options, "--out", str(tmp_path / "out")]) == 2
    assert "a.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["other classes", "no objects", "a broken image"])
def test_data_that_cannot_be_scored_leave_no_artifact(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    labels = data / "annotations" / "val.json"
    content = json.loads(labels.read_text())
    if change == "other classes":
        content["categories"] = [row | {"name": f"other {row['id']}"} for row in content["categories"]]
    elif change == "no objects":
        content["annotations"] = []
    else:
        (data / "val" / content["images"][-1]["file_name"]).write_bytes(b"\x89PNG")
    labels.write_text(json.dumps(content))
    assert main(["export", str(checkpoint), "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    loaded = load_model(str(checkpoint))[0]
    if change != "a broken image":
        assert gate_data(None, data, loaded) is None, "its images serve for calibration all the same"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "largest_bytes"), [("onnx", 300_000), ("openvino", 1000), ("openvino", 300_000)])
def test_a_full_disk_is_one_line_and_keeps_the_old_artifact(
    checkpoint: Path, tmp_path: Path, name: str, largest_bytes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system refuses to let any file grow over some bytes, in the folder of temporary files, too."""
    command = ["export", str(checkpoint), "--format", name, "--precision", "fp16", "--size", "64"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, limits[1]))
    try:
        assert main([*command, "--out", str(tmp_path)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [line for line in capsys.readouterr().err.splitlines() if "error: cannot write" in line]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

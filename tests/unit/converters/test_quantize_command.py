"""`tinydet quantize`, and what `tinydet export` makes of its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.networks import INPUT_PX, detector, images
from tinydet.converters.commands.shared import EXIT_GATE, pass_gate
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.evaluation.average_precision import METRIC_KEYS, Accuracy
from tinydet.edge.files.images import write_image
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime
from tinydet.quantization.gate import Gate
from tinydet.quantization.quantized_file import load_quantized
from tinydet.training.checkpoint import save_detector

SIDE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "best.safetensors"
    save_detector(path, detector(), input_px=INPUT_PX, training={})
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images in each of train and val, one object in each."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "annotations").mkdir()
    for split, seed in (("train", 1), ("val", 2)):
        for index, image in enumerate(images(3, seed=seed)):
            write_image(folder / split / f"{index}.png", image)
        content = {
            "images": [{"id": i, "file_name": f"{i}.png", "width": INPUT_PX, "height": INPUT_PX} for i in range(3)],
            "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [10, 10, 12, 9]} for i in range(3)],
            "categories": [{"id": 1, "name": "person"}],
        }
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_quantized_network_is_written_judged_and_exported(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--calibration", str(dataset), "--size", str(SIDE), "--float-blocks", "cem,fbsm.0"]
    assert main(["quantize", str(checkpoint), *options, "--out", str(tmp_path)]) == 0
    state = tmp_path / f"n-{SIDE}px-int8.safetensors"
    said = capsys.readouterr()
    assert said.out == ""
    assert "no labelled images left for AP" in said.err
    assert "accuracy gate" in said.err
    assert "the gate is a rough guess" in said.err
    network = load_quantized(state).network
    assert network.float_blocks == ("cem", "fbsm.0")
    assert network.calibration["images"] == ["0.png", "1.png", "2.png"]
    assert network.calibration["ranges"] in ("min-max", "percentile", "mse")

    assert main(["export", str(state), "--out", str(tmp_path / "out")]) == 0
    with OnnxRuntime.open(tmp_path / "out" / f"n-{SIDE}px-int8.onnx", threads=1) as runtime:
        assert runtime.metadata.float_blocks == ("cem", "fbsm.0")
        assert runtime.metadata.calibration == network.calibration

    for command, options, message in (
        ("quantize", ["--calibration", str(dataset)], "is quantized already: expected a float checkpoint"),
        ("sensitivity", ["--calibration", str(dataset)], "is quantized already: give the float checkpoint"),
        ("export", ["--calibration", str(dataset)], "--calibration has no effect on"),
    ):
        out = [] if command == "sensitivity" else ["--out", str(tmp_path / "no")]
        assert main([command, str(state), *options, *out]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--calibration", "nowhere"], "data set nowhere does not exist"),
        (["--method", "qat", "--calibration", "nowhere"], "--method qat needs --recipe"),
        (["--resume", "--calibration", "nowhere"], "--resume has no effect with --method ptq"),
        (["--size", "100", "--calibration", "nowhere"], "multiples of 64 px, got 100x100"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["quantize", str(checkpoint), *options, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def accuracy(ap: float) -> Accuracy:
    metrics = dict.fromkeys(METRIC_KEYS, ap)
    return Accuracy(overall=metrics, per_class={"person": metrics})


def test_over_the_limit_blocks_are_named_and_the_exit_code_is_3(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = Gate(read_dataset(dataset))
    files = {"good.onnx": accuracy(0.495), "bad.onnx": accuracy(0.45)}

    def blame() -> str:
        return "cem (1.0 dB)"

    assert pass_gate(gate, accuracy(0.5), files, allow_drop=False, blame=blame) == EXIT_GATE
    said = " ".join(capsys.readouterr().err.split())
    assert "accuracy gate: bad.onnx: AP 45.0, FP32 50.0: lost 5.0 points, 1.0 are allowed" in said
    assert "accuracy gate: good.onnx" not in said
    assert "most sensitive blocks: cem (1.0 dB)" in said
    assert pass_gate(gate, accuracy(0.5), files, allow_drop=True, blame=blame) == 0

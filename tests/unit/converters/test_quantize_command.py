"""`tinydet quantize`, and `tinydet export` of the files it writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tinydet.converters.commands.shared import EXIT_GATE, apply_gate
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.evaluation.average_precision import METRIC_KEYS, Accuracy
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime
from tinydet.quantization.gate import Gate
from tinydet.quantization.quantized_file import load_quantized

SIDE = 64


def test_a_quantized_network_is_written_judged_and_exported(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--calibration", str(dataset), "--size", str(SIDE), "--float-blocks", "cem,fbsm.0"]
    assert main(["quantize", str(checkpoint), *options, "--out", str(tmp_path)]) == 0
    state = tmp_path / f"n-{SIDE}px-int8.safetensors"
    said = capsys.readouterr()
    assert said.out == ""
    assert "too few other images have labels for AP" in said.err
    assert "accuracy gate" in said.err
    assert "the accuracy gate is only a rough guide" in said.err
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
        ("sensitivity", ["--calibration", str(dataset)], "is quantized already: expected a float checkpoint"),
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
        (
            ["--method", "qat", "--recipe", "qat-m", "--calibration", "nowhere"],
            "qat-m is neither a file nor a recipe of tinydet: did you mean qat-n?",
        ),
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

    def find_most_sensitive() -> str:
        return "cem (1.0 dB)"

    apply = partial(apply_gate, gate, accuracy(0.5), files, find_most_sensitive=find_most_sensitive)
    assert apply(allow_drop=False) == EXIT_GATE
    said = " ".join(capsys.readouterr().err.split())
    assert "accuracy gate failed: bad.onnx: AP fell by 5.0 points, from 50.0 to 45.0; 1.0 are allowed" in said
    assert "failed: good.onnx" not in said
    assert "most sensitive blocks: cem (1.0 dB)" in said
    assert apply(allow_drop=True) == 0

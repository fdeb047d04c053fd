"""What `tinydet build-engine` says before it needs TensorRT, and where that is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.models import write_spot_detector
from tinydet.edge.commands.cli import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["n.onnx"], "expected a file ending in .tensorrt.onnx, made with `tinydet export --format tensorrt`"),
        (["n.tensorrt.onnx"], "artifact n.tensorrt.onnx does not exist"),
        (["n.tensorrt.onnx", "--out", "n.trt"], "--out n.trt: expected a file ending in .engine"),
        (["n.tensorrt.onnx", "--batch", "0"], "--batch: expected a whole number, 1 to 1024, got '0'"),
        (
            ["n.tensorrt.onnx", "--workspace-mb", "-1"],
            "--workspace-mb: expected a whole number, 1 to 1000000, got '-1'",
        ),
    ],
)
def test_wrong_input(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert main(["build-engine", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_without_tensorrt_it_says_where_that_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "tinydet.edge.runtimes.tensorrt", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    artifact = write_spot_detector(tmp_path / "spots-64px-fp32.tensorrt.onnx")
    engine = tmp_path / "spots-64px-fp32.engine"
    engine.write_bytes(b"")
    for command in (["build-engine", str(artifact)], ["evaluate", str(engine), str(tmp_path)]):
        assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[0]
    assert "this needs tensorrt: it comes with JetPack" in line
    assert "pip install" not in line

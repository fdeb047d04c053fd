from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.cli import main
from tests.models import spot_metadata, write_spot_detector
from tests.unit.edge.coco_files import coco, write_coco


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.onnx", "b.onnx"):
        write_spot_detector(tmp_path / name, spot_metadata(class_names=("car",)))
    write_coco(tmp_path / "data")


def test_prints_a_column_for_each_artifact_and_the_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "profile",
                "a.onnx",
                "b.onnx",
                "--data",
                "data",
                "--seconds",
                "0.05",
                "--threads",
                "1",
                "--json",
                "out.json",
            ]
        )
        == 0
    )
    shown = capsys.readouterr()
    assert shown.out == ""
    for words in ("a.onnx", "b.onnx", "APvt", "pre, ms p50 / p95", "infer, ratio to the first", "frames a second"):
        assert words in shown.err
    assert "threads: 1, spinning off; batch 1" in shown.err
    assert "0.05 s an artifact in 3 rounds, taking turns, one session open at a time" in shown.err
    assert "wrote out.json" in shown.err
    assert "next: tinydet detect b.onnx" in shown.err
    assert len(json.loads(Path("out.json").read_text())["artifacts"]) == 2


def test_data_on_stdout_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "a.onnx", "--seconds", "0.05", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["protocol"]["frames"] == "built-in noise, 1920x1080"
    assert "note: frames are built-in noise, 1920x1080; no labels, so no accuracy" in shown.err
    assert "AP50" not in shown.err


def test_data_without_labels_gives_frames_but_no_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(Path("data"), coco(annotations=[]))
    assert main(["profile", "a.onnx", "--data", "data", "--seconds", "0.05"]) == 0
    shown = capsys.readouterr().err
    assert "note: frames are 2 of 2 images of data/annotations/val.json; no labels" in shown
    assert "AP50" not in shown

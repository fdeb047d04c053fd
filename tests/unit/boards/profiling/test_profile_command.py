from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models import spot_metadata, write_spot_detector
from tests.unit.edge.datasets.coco_files import coco, write_coco
from tinydet.boards.profiling import profiler
from tinydet.edge.commands.cli import main
from tinydet.edge.files.images import write_image


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(profiler, "ROUNDS", 1)
    for name in ("a.onnx", "b.onnx"):
        write_spot_detector(tmp_path / name, spot_metadata(class_names=("car",)))
    write_coco(tmp_path / "data")


def test_prints_a_column_for_each_artifact_and_the_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--data data --seconds 0.05 --device cpu --threads 1 --json out.json --report out.html --markdown"
    assert main(["profile", "a.onnx", "b.onnx", *options.split()]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 4 and "| b.onnx |" in shown.out
    for words in ("a.onnx", "b.onnx", "APvt", "pre, ms p50", "infer, ratio to", "frames per second"):
        assert words in shown.err
    assert "threads: 1, no spinning; batch 1" in shown.err
    assert "0.05 s per artifact in 1 interleaved rounds; each turn is a separate process, one at a time" in shown.err
    assert "wrote out.json" in shown.err
    assert "next: tinydet recommend out.json" in shown.err
    assert "AP against latency" in Path("out.html").read_text()
    assert len(json.loads(Path("out.json").read_text())["artifacts"]) == 2


def test_data_on_stdout_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "a.onnx", "--seconds", "0.05", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["protocol"]["frames"] == "built-in noise, 1920x1080"
    assert "note: frames are built-in noise, 1920x1080; without labels no accuracy is measured" in shown.err
    assert "AP50" not in shown.err


def test_data_without_labels_gives_frames_but_no_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(Path("data"), coco(annotations=[]))
    assert main(["profile", "a.onnx", "--data", "data", "--seconds", "0.05"]) == 0
    shown = capsys.readouterr().err
    assert "note: frames are 2 of 2 images of data/annotations/val.json; without labels" in shown
    assert "AP50" not in shown


def test_a_folder_of_images_gives_frames_but_no_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.png", "a.png"):
        write_image(Path("photographs") / name, np.zeros((48, 64, 3), np.uint8))
    assert main(["profile", "a.onnx", "--data", "photographs", "--seconds", "0.05"]) == 0
    shown = capsys.readouterr().err
    assert "note: frames are 2 of 2 images of photographs; without labels no accuracy is measured" in shown
    assert "AP50" not in shown


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--report", "folder.html"], "cannot write file folder.html: it is a folder"),
        (["--report", "report.pdf"], "expected a file ending in .html"),
        (["--markdown", "--json"], "--markdown and --json both write to stdout"),
        (["--device", "npu"], "cannot run a.onnx on npu: onnxruntime computes on cpu, gpu, tensorrt"),
        (["--data", "folder.html"], "is no data set that can be read"),
        (["--seconds", "0"], "expected a number above 0"),
        (["--sustained", "nan"], "expected a number above 0"),
    ],
)
def test_wrong_input_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    Path("folder.html").mkdir()
    assert main(["profile", "a.onnx", *options]) == 2
    assert says in capsys.readouterr().err

"""The commands as a user meets them: what they print, what they write, and what they say to bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.models import spot_metadata, write_spot_detector
from tests.unit.edge.datasets.coco_files import annotation, coco, write_coco
from tests.unit.edge.sources.test_sources import write_clip
from tinydet.edge.commands.cli import main
from tinydet.edge.files.images import read_image, write_image


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an artifact, a data set, images and a clip."""
    monkeypatch.chdir(tmp_path)
    write_spot_detector(tmp_path / "spots.onnx", spot_metadata(class_names=("car", "person")))
    write_coco(tmp_path / "data")
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:12, 8:12] = 255
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "images" / name, image)
    write_clip(tmp_path / "clip.mp4")
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_detect_a_folder(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "spots.onnx", "images", "--save", "out", "--jsonl", "out.jsonl", "--coco", "out.json"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2 frames, 2 objects: 2 car" in shown.err
    for written in ("out", "out.jsonl", "out.json"):
        assert f"wrote {written}\n" in shown.err
    assert "next: tinydet profile spots.onnx" in shown.err
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png"]
    assert (read_image("out/a.png") != read_image("images/a.png")).any()
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [(line["name"], len(line["detections"])) for line in lines] == [("a.png", 1), ("b.png", 1)]
    assert len(json.loads(Path("out.json").read_text())["annotations"]) == 2


def test_detect_a_video(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "spots.onnx", "clip.mp4", "--save", "out", "--score", "0.9"]) == 0
    assert "10 frames" in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["clip.mp4"]


def test_detect_one_image_without_writing(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(work)
    assert main(["detect", "spots.onnx", "images/a.png"]) == 0
    assert "no output was written: --save DIR draws the detections" in capsys.readouterr().err
    assert files(work) == before


def test_detect_goes_on_after_a_corrupt_image_and_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = Path("images/a.png").read_bytes()
    Path("images/a.png").write_bytes(content[: len(content) // 2])
    assert main(["detect", "spots.onnx", "images", "--save", "out"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "images/a.png: the file is cut short" in errors[0]
    assert [path.name for path in Path("out").iterdir()] == ["b.png"]


def test_evaluate(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "spots.onnx", "data", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert (result["AP"], result["per_class"]["car"]["AP"], result["images"], result["objects"]) == (0, 0, 2, 2)
    assert result["notes"] == [
        "not counted, the data set does not annotate them: person",
        "counted as missed, the model does not know them: truck",
    ]
    assert "APvt" in shown.err
    assert "note: counted as missed, the model does not know them: truck" in shown.err
    assert "next: tinydet profile spots.onnx --data data" in shown.err


def test_evaluate_in_tiles_by_another_protocol(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "spots.onnx", "data", "--slice", "--protocol", "visdrone", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert (result["protocol"], result["sliced"], "APl" in result, "APvt" in result) == ("visdrone", True, True, False)
    assert "protocol visdrone, at most 500 detections per image, in tiles" in shown.err
    assert main(["evaluate", "spots.onnx", "data", "--protocol", "coco"]) == 2
    assert "invalid choice: 'coco'" in capsys.readouterr().err


def test_evaluate_into_a_file(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "spots.onnx", "data", "--json", "out/accuracy.json"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, "wrote out/accuracy.json" in shown.err) == ("", True)
    assert json.loads(Path("out/accuracy.json").read_text())["AP"] == 0


def test_boxes_outside_the_image_are_said(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = [[-5, 0, 10, 10], [5, 5, 0, 3]]
    write_coco(work / "data", coco(annotations=[annotation(id=index, bbox=box) for index, box in enumerate(boxes, 1)]))
    assert main(["evaluate", "spots.onnx", "data"]) == 0
    shown = capsys.readouterr().err
    assert "1 box reaching outside the image: clipped" in shown
    assert "1 box of zero size or wholly outside the image: dropped" in shown


def truncate(path: str) -> Callable[[], None]:
    def cut() -> None:
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[: len(content) // 2])

    return cut


def write_data(content: object) -> Callable[[], object]:
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda: Path("data/annotations/val.json").write_text(text)


def nothing() -> None:
    """The input is bad as it stands."""


BAD_INPUT: dict[str, tuple[Callable[[], object], str, str]] = {
    "missing image": (nothing, "detect spots.onnx nowhere.png --save out", "nowhere.png does not exist"),
    "truncated image": (truncate("images/a.png"), "detect spots.onnx images/a.png --save out", "cut short"),
    "only truncated images": (
        lambda: [truncate(f"images/{name}.png")() for name in "ab"],
        "detect spots.onnx images --save out --jsonl out.jsonl",
        "none of the 2 images in images can be read",
    ),
    "truncated video": (truncate("clip.mp4"), "detect spots.onnx clip.mp4 --save out", "cannot read video clip.mp4"),
    "truncated data image": (truncate("data/val/a.png"), "evaluate spots.onnx data --json out.json", "cut short"),
    "missing data image": (
        lambda: Path("data/val/b.png").unlink(),
        "evaluate spots.onnx data --json out.json",
        "1 of 2 image files are missing",
    ),
    "broken JSON": (write_data('{"images": ['), "evaluate spots.onnx data --json out.json", "broken JSON at line 1"),
    "unknown category": (
        write_data(coco(annotations=[annotation(category_id=99)])),
        "evaluate spots.onnx data --json out.json",
        "annotation 1 has category id 99",
    ),
    "empty data set": (write_data(coco(images=[])), "evaluate spots.onnx data --json out.json", "data set is empty"),
    "no shared class": (
        write_data(coco(categories=[{"id": 3, "name": "boat"}], annotations=[annotation()])),
        "evaluate spots.onnx data --json out.json",
        "no class in common",
    ),
    "missing metadata": (
        lambda: write_spot_detector(Path("spots.onnx"), metadata_json=None),
        "detect spots.onnx images --save out",
        "carries no tinydet metadata",
    ),
    "truncated artifact": (truncate("spots.onnx"), "detect spots.onnx images --save out", "cannot load spots.onnx"),
    "missing artifact": (nothing, "evaluate nowhere.onnx data --json out.json", "nowhere.onnx does not exist"),
    "unwritable folder": (
        lambda: Path("file").touch(),
        "detect spots.onnx images --save file/out",
        "cannot write into folder file/out",
    ),
    "unwritable JSON lines": (
        lambda: Path("file").touch(),
        "detect spots.onnx images --jsonl file/out.jsonl",
        "cannot write into folder file",
    ),
    "unwritable JSON": (
        lambda: Path("file").touch(),
        "evaluate spots.onnx data --json file/out.json",
        "cannot write into folder file",
    ),
    "score out of range": (
        nothing,
        "detect spots.onnx images --score 5 --save out",
        "--score: expected a number 0 to 1, got '5'",
    ),
    "no threads": (
        nothing,
        "detect spots.onnx images --threads 0 --save out",
        "--threads: expected a whole number, 1 to 256, got '0'",
    ),
    "output over the source": (nothing, "detect spots.onnx images --save images", "whose files would be replaced"),
    "output over the model": (nothing, "evaluate data --json spots.onnx", "following arguments are required: DATA"),
    "output over a model": (nothing, "evaluate spots.onnx data --json spots.onnx", "expected a file ending in .json"),
    "profile output over a model": (
        nothing,
        "profile spots.onnx --json spots.onnx",
        "--json spots.onnx: expected a file ending in .json",
    ),
    "profile a truncated artifact": (
        truncate("spots.onnx"),
        "profile spots.onnx --seconds 0.1 --json out.json",
        "cannot load spots.onnx",
    ),
    "profile twice the same": (nothing, "profile spots.onnx spots.onnx --json out.json", "named twice"),
    "profile no time": (
        nothing,
        "profile spots.onnx --seconds 0 --json out.json",
        "--seconds: expected a number above 0",
    ),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line_and_writes_nothing(work: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, command_line, message = BAD_INPUT[name]
    spoil()
    before = files(work)
    assert main(command_line.split()) == 2
    shown = capfd.readouterr()
    errors = [line for line in shown.err.splitlines() if not line.startswith("note: ")]
    assert len(errors) == 1, shown.err
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert shown.out == ""
    assert files(work) == before
    assert not Path("out").exists()

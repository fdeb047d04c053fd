from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.detections import Detections
from edge.detector import StageTimes
from edge.errors import InputError
from edge.images import read_image
from edge.sinks import AnnotatedImages, AnnotatedVideo, CocoJson, JsonLines, Sink
from edge.sources import Frame, open_source

TIMES = StageTimes(pre_ms=0.5, infer_ms=20.25, post_ms=0.25)
FOUND = Detections(
    boxes_xyxy_px=np.array([[10, 20, 14.5, 28.256]], np.float32),
    scores=np.array([0.87654], np.float32),
    class_ids=np.array([1]),
)
NAMES = ("car", "person")


def frame(index: int, name: str = "a.png") -> Frame:
    return Frame(index=index, name=name, image_rgb=np.full((48, 64, 3), 90, np.uint8), time_s=index / 10)


SINKS: dict[str, Callable[[Path], Sink]] = {
    "clip.mp4": lambda path: AnnotatedVideo(path, NAMES, 10.0),
    "found.jsonl": lambda path: JsonLines(path, NAMES, Path("clip.mp4")),
    "found.json": lambda path: CocoJson(path, NAMES),
}


@pytest.mark.parametrize("name", SINKS)
def test_a_file_appears_when_it_is_complete(tmp_path: Path, name: str) -> None:
    target = tmp_path / "out" / name
    with SINKS[name](target) as sink:
        for index in range(3):
            sink.write(frame(index), FOUND, TIMES)
        assert not target.exists()
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_size > 0


@pytest.mark.parametrize("name", SINKS)
def test_an_interrupted_run_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    def interrupted() -> None:
        with SINKS[name](tmp_path / name) as sink:
            sink.write(frame(0), FOUND, TIMES)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SINKS)
def test_an_unwritable_place_is_said_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write into folder"):
        SINKS[name](tmp_path / "file" / name)


def test_json_lines(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "x.jsonl", NAMES, Path("clip.mp4")) as sink:
        sink.write(frame(0), FOUND, TIMES)
        sink.write(frame(1), Detections.empty(), TIMES)
    first, second = (json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines())
    assert first == {
        "frame": 0,
        "name": "a.png",
        "source": "clip.mp4",
        "time_s": 0.0,
        "image_wh": [64, 48],
        "latency_ms": {"pre": 0.5, "infer": 20.25, "post": 0.25, "total": 21.0},
        "detections": [{"class": "person", "score": 0.8765, "box_xyxy_px": [10.0, 20.0, 14.5, 28.26]}],
    }
    assert (second["frame"], second["detections"]) == (1, [])


def test_coco_json(tmp_path: Path) -> None:
    with CocoJson(tmp_path / "x.json", NAMES) as sink:
        sink.write(frame(0), Detections.empty(), TIMES)
        sink.write(frame(1, "b.png"), FOUND, TIMES)
    content = json.loads((tmp_path / "x.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.png"]
    assert content["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}]
    (annotation,) = content["annotations"]
    assert annotation["bbox"] == [10, 20, 4.5, 8.26]
    assert (annotation["image_id"], annotation["category_id"], annotation["score"]) == (2, 2, 0.8765)


def test_pictures_keep_their_names(tmp_path: Path) -> None:
    with AnnotatedImages(tmp_path, NAMES) as sink:
        sink.write(frame(0, "a.png"), FOUND, TIMES)
        sink.write(frame(1, "clip-000001"), FOUND, TIMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "clip-000001.jpg"]
    assert (read_image(tmp_path / "a.png") != 90).any()


def test_a_video_has_every_frame(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "clip.mp4", NAMES, 12.5) as sink:
        for index in range(5):
            sink.write(frame(index), FOUND, TIMES)
    source = open_source(tmp_path / "clip.mp4")
    assert (len(list(source)), source.frames_per_s) == (5, 12.5)

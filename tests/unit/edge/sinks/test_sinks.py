from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.edge.sinks.frame_results import NAMES, Recorded, result
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.files import writing
from tinydet.edge.files.images import read_image
from tinydet.edge.sinks.coco import CocoJson
from tinydet.edge.sinks.images import AnnotatedImages
from tinydet.edge.sinks.json_lines import JsonLines
from tinydet.edge.sinks.sink import Sink
from tinydet.edge.sinks.video import AnnotatedVideo
from tinydet.edge.sources.opening import open_source

CLIP = Recorded("clip.mp4")
CAMERA = Recorded("v4l2://0", is_live=True)

SINKS: dict[str, Callable[[Path], Sink]] = {
    "clip.mp4": lambda path: AnnotatedVideo(path, NAMES, 10.0),
    "found.jsonl": lambda path: JsonLines(path, NAMES, CLIP),
    "found.json": lambda path: CocoJson(path, NAMES),
}


@pytest.mark.parametrize("name", SINKS)
def test_a_file_appears_when_it_is_complete(tmp_path: Path, name: str) -> None:
    target = tmp_path / "out" / name
    with SINKS[name](target) as sink:
        for index in range(3):
            sink.write(result(index))
        assert not target.exists()
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_size > 0


@pytest.mark.parametrize("name", SINKS)
def test_an_interrupted_run_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    def interrupted() -> None:
        with SINKS[name](tmp_path / name) as sink:
            sink.write(result(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SINKS)
def test_an_unwritable_place_is_said_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write into folder"):
        SINKS[name](tmp_path / "file" / name)


@pytest.mark.parametrize("name", ["found.jsonl", "found.json"])
def test_a_disk_that_fills_up_at_the_end_leaves_nothing_half_written(tmp_path: Path, name: str) -> None:
    """Files of this process may get 2000 bytes long, which are buffered until the end."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    sink = SINKS[name](tmp_path / name)
    sink.__enter__()
    for index in range(15):
        sink.write(result(index))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(InputError, match="cannot write"):
            sink.__exit__(None, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["found.jsonl", "found.json"])
def test_a_folder_that_vanishes_is_an_input_error(tmp_path: Path, name: str) -> None:
    sink = SINKS[name](tmp_path / "out" / name)
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        sink.__enter__()


def test_json_lines(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "x.jsonl", NAMES, CLIP) as sink:
        sink.write(result(0))
        sink.write(result(1, found=Detections.empty()))
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


@pytest.mark.parametrize("position", [(47.5, 8.25), None])
def test_json_lines_with_positions(tmp_path: Path, position: tuple[float, float] | None) -> None:
    with JsonLines(tmp_path / "x.jsonl", NAMES, CLIP, lambda result: [position]) as sink:
        sink.write(result(0))
    (found,) = json.loads((tmp_path / "x.jsonl").read_text())["detections"]
    assert (found["latitude_deg"], found["longitude_deg"]) == (position or (None, None))


def test_json_lines_of_a_live_source_are_there_at_once_and_are_added_to(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for flight in range(2):
        with JsonLines(path, NAMES, CAMERA) as sink:
            sink.write(result(0, captured_s=time.monotonic() - 1, track_ids=[-1 if flight else 4]))
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert len(lines) == flight + 1
    assert [line["detections"][0]["track"] for line in lines] == [4, None]
    assert (lines[0]["age_ms"], lines[0]["dropped"]) == (30.0, 7)
    assert lines[1]["unix_time_s"] == pytest.approx(time.time() - 1, abs=0.5)


def test_coco_json(tmp_path: Path) -> None:
    with CocoJson(tmp_path / "x.json", NAMES) as sink:
        sink.write(result(0, found=Detections.empty()))
        sink.write(result(1, "b.png"))
    content = json.loads((tmp_path / "x.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.png"]
    assert content["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}]
    (annotation,) = content["annotations"]
    assert annotation["bbox"] == [10, 20, 4.5, 8.26]
    assert (annotation["image_id"], annotation["category_id"], annotation["score"]) == (2, 2, 0.8765)


def test_pictures_keep_their_names(tmp_path: Path) -> None:
    with AnnotatedImages(tmp_path, NAMES) as sink:
        sink.write(result(0, "a.png"))
        sink.write(result(1, "clip-000001"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "clip-000001.jpg"]
    assert (read_image(tmp_path / "a.png") != 90).any()


def test_a_video_has_every_frame_whatever_its_size(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "clip.mp4", NAMES, 12.5) as sink:
        for index, size_wh in enumerate([(65, 49), (64, 48), (1, 1), (300, 20), (65, 49)]):
            sink.write(result(index, size_wh=size_wh))
    source = open_source(tmp_path / "clip.mp4")
    frames = list(source)
    assert (len(frames), source.frames_per_s) == (5, 12.5)
    assert {frame.image_rgb.shape for frame in frames} == {(50, 66, 3)}


@pytest.mark.parametrize(
    ("frames_per_s", "expected"),
    [(119.9534, 119.95), (119.88, 119.88), (59.94006, 59.94), (23.976024, 23.976), (29.97003, 29.97), (1 / 3, 1 / 3)]
    + [(240, 240), (999.99, 1000), (90_000, 1000), (1e-4, 0.01), (0.01, 0.01), (655.357, 655.4), (65.5359, 65.54)],
)
def test_a_video_of_any_frame_rate(
    tmp_path: Path, frames_per_s: float, expected: float, capfd: pytest.CaptureFixture[str]
) -> None:
    with AnnotatedVideo(tmp_path / "clip.mp4", NAMES, frames_per_s) as sink:
        for index in range(5):
            sink.write(result(index))
    source = open_source(tmp_path / "clip.mp4")
    assert len(list(source)) == 5
    assert source.frames_per_s == pytest.approx(expected, rel=1e-3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("torn", "kept"),
    [
        ('{"frame": 1, "name', ""),
        ('{"fr', ""),
        ('{"frame": 1}', '{"frame": 1}\n'),
        ("a note of mine", "a note of mine\n"),
        ("", ""),
    ],
)
def test_a_torn_log_is_healed(tmp_path: Path, torn: str, kept: str) -> None:
    path, before = tmp_path / "log.jsonl", '{"frame": 0, "x": "' + 100_000 * "y" + '"}\n'
    path.write_text(before + torn)
    with JsonLines(path, NAMES, CAMERA) as sink:
        sink.write(result(2, captured_s=time.monotonic()))
    assert path.read_text().startswith(before + kept + '{"frame": 2, ')
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines() if line[0] == "{"][-1] == 2


def test_a_video_shows_who_is_who(tmp_path: Path) -> None:
    box = Detections(
        boxes_xyxy_px=np.array([[300, 200, 320, 220]], np.float32),
        scores=np.ones(1, np.float32),
        class_ids=np.zeros(1, np.int64),
    )
    pictures = []
    for name, track_ids in (("none", None), ("seven", [7]), ("many", [4444])):
        with AnnotatedVideo(tmp_path / f"{name}.mp4", NAMES, 10.0) as sink:
            sink.write(result(0, found=box, size_wh=(640, 480), track_ids=track_ids))
        pictures.append(next(iter(open_source(tmp_path / f"{name}.mp4"))).image_rgb.astype(int))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(pictures[one] - pictures[other]).max() > 80


def test_a_video_of_a_live_source_runs_as_fast_as_the_world(tmp_path: Path) -> None:
    """Results at 0 to 0.9 s, every third missing, then a gap of 9.1 s, of which one second is kept."""
    with AnnotatedVideo.of(CAMERA, tmp_path, NAMES) as sink:
        for index in [0, 1, 3, 4, 6, 7, 9, 100]:
            sink.write(result(index, captured_s=1.0))
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".mkv"
    assert len(list(open_source(path))) == 10 + 10


def test_a_video_of_a_live_source_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tinydet.edge.sinks.video import AnnotatedVideo\n"
        "from tests.unit.edge.sinks.frame_results import NAMES, Recorded, result\n"
        "sink = AnnotatedVideo.of(Recorded('csi://0', is_live=True), Path(sys.argv[1]), NAMES)\n"
        "for index in range(100): sink.write(result(index, noise=True, size_wh=(320, 240), captured_s=1.0))\n"
        "print('recorded', flush=True)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ)
    assert child.stdout is not None
    assert child.stdout.readline() == b"recorded\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (path,) = tmp_path.iterdir()
    assert len(list(open_source(path))) > 40, "all but the last seconds"


def test_a_full_disk_ends_the_recording_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = AnnotatedVideo.of(CAMERA, tmp_path, NAMES)
    sink.write(result(0, captured_s=1.0))
    monkeypatch.setattr(writing, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(InputError, match=r"is full .* recording stopped"):
        sink.write(result(1, captured_s=1.0))
    sink.__exit__(None, None, None)
    (path,) = tmp_path.iterdir()
    assert len(list(open_source(path))) == 1

"""Videos as cameras, phones and players write them: times, rotation, containers."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.unit.edge.sinks.frame_results import NAMES, result
from tinydet.edge.errors import InputError
from tinydet.edge.sinks.video import AnnotatedVideo
from tinydet.edge.sources.opening import open_source
from tinydet.edge.sources.video_times import FrameTimes, plausible_rate

#: OpenCV writes these; a raw stream has no container that could state its rate.
CONTAINERS = {"flv": "FLV1", "wmv": "WMV2", "mts": "mp2v", "m2ts": "mp2v", "3gp": "mp4v", "webm": "VP80", "vob": "mp2v"}


def write_video(path: Path, codec: str = "mp4v", frames_per_s: float = 10.0, frames: int = 8) -> Path:
    """Frames of 96x64 with a white upper left corner."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), frames_per_s, (96, 64))
    assert writer.isOpened()
    image = np.zeros((64, 96, 3), np.uint8)
    image[:24, :24] = 255
    for _ in range(frames):
        writer.write(image)
    writer.release()
    return path


def rotate(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set the display matrix in the track header (ISO/IEC 14496-12, 8.3.2) of an MP4 with one track."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    for index, value in enumerate((a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)):
        content[start + 4 * index : start + 4 * index + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("matrix", "wh", "corner"),
    [
        ((1, 0, 0, 1), (96, 64), (0, 0)),
        ((0, 1, -1, 0), (64, 96), (0, -1)),
        ((-1, 0, 0, -1), (96, 64), (-1, -1)),
        ((0, -1, 1, 0), (64, 96), (-1, 0)),
    ],
)
def test_frames_are_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], wh: tuple[int, int], corner: tuple[int, int]
) -> None:
    path = write_video(tmp_path / "phone.mp4")
    rotate(path, matrix)
    images = [frame.image_rgb for frame in open_source(path)]
    assert [image.shape for image in images] == [(wh[1], wh[0], 3)] * 8
    corners = {(row, column): int(images[0][row, column, 0]) for row in (0, -1) for column in (0, -1)}
    assert max(corners, key=lambda place: corners[place]) == corner


def test_names_that_opencv_crashes_on(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    write_video(tmp_path / "clip.mp4").rename(folder / "clip.mp4")
    with pytest.raises(InputError, match=r"\\udcff/clip.mp4: expected a name in UTF-8"):
        open_source(folder / "clip.mp4")
    with (
        pytest.raises(InputError, match="expected a name in UTF-8"),
        AnnotatedVideo(folder / "a.mp4", NAMES, 10) as sink,
    ):
        sink.write(result(0))
    assert [file.name for file in folder.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(("suffix", "codec"), CONTAINERS.items())
def test_containers_are_recognized_by_their_content(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", codec)
    for name in (path, tmp_path / "clip", tmp_path / "clip.unknown"):
        if name != path:
            shutil.copy(path, name)
        assert len(list(open_source(name))) == 8


def test_a_raw_stream_has_rising_times(tmp_path: Path) -> None:
    """JPEG images one after the other, as cheap cameras store them under the ending of a container."""
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", image)[1].tobytes()
    for suffix in ("avi", "mjpeg"):
        path = tmp_path / f"raw.{suffix}"
        path.write_bytes(encoded * 6)
        source = open_source(path)
        times_s = [frame.time_s for frame in source]
        assert source.frames_per_s is not None
        assert times_s == pytest.approx([index / source.frames_per_s for index in range(6)])


@pytest.mark.parametrize(
    ("stated_s", "expected_s"),
    [
        ([0.0, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2, 0.3]),
        ([0.0, 0.05, 0.3, 0.31], [0.0, 0.05, 0.3, 0.31]),  # a varying frame rate
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.1, 0.2, 0.3]),  # raw H.264
        ([-3.7e17, -3.7e17, -3.7e17, -3.7e17], [0.0, 0.1, 0.2, 0.3]),  # raw MJPEG
        ([0.2, 0.3, 0.0, 0.0], [0.0, 0.1, 0.2, 0.3]),  # B-frames in AVI
        ([0.0, 0.1, 0.05, 0.3], [0.0, 0.1, 0.2, 0.3]),
        ([0.0, 0.02, math.nan, 0.3], [0.0, 0.02, 0.12, 0.22]),
        ([0.0, 0.1, math.inf, 0.3], [0.0, 0.1, 0.2, 0.3]),
        ([0.0, 0.1, 1e6, 1e6 + 0.1], [0.0, 0.1, 0.2, 0.3]),
    ],
)
def test_times_that_cannot_be_right(stated_s: list[float], expected_s: list[float]) -> None:
    times = FrameTimes(10.0, 4)
    found = [times.time_s(index, stated) for index, stated in enumerate(stated_s)]
    assert found == pytest.approx(expected_s)


def test_frames_that_are_missing_count_in_the_time() -> None:
    times = FrameTimes(10.0, None)
    assert [times.time_s(index, 0.0) for index in (0, 1, 4)] == pytest.approx([0.0, 0.1, 0.4])


def test_without_a_frame_rate_wrong_times_are_none() -> None:
    times = FrameTimes(None, None)
    assert [times.time_s(0, 0.0), times.time_s(1, 0.0), times.time_s(2, 5.0)] == [0.0, None, None]


@pytest.mark.parametrize("stated", [0.0, -1.0, math.nan, math.inf, 90_000.0])
def test_what_is_no_frame_rate(stated: float) -> None:
    assert plausible_rate(stated) is None
    assert plausible_rate(119.9534) == 119.9534


@pytest.mark.parametrize("name", ["notes.txt", "list.csv", "clip.mp4", "clip.m3u8", "clip"])
@pytest.mark.parametrize("text", ["hello\n" * 1000, "ffconcat version 1.0\nfile other.avi\n"])
def test_text_is_no_video(tmp_path: Path, name: str, text: str) -> None:
    """FFmpeg would draw it as letters, or open the file that it names."""
    write_video(tmp_path / "other.avi", "MJPG")
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="not a video, but text"):
        open_source(tmp_path / name)

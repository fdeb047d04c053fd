"""Cameras and streams from real processes and servers."""

from __future__ import annotations

import functools
import http.server
import itertools
import logging
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.unit.edge.sources.test_sources import write_clip
from tinydet.edge.errors import InputError
from tinydet.edge.sources import live as live_module
from tinydet.edge.sources import pipes
from tinydet.edge.sources.live import Connection, ConnectionLostError, LiveSource
from tinydet.edge.sources.opencv_capture import open_stream
from tinydet.edge.sources.opening import SCHEMES, open_source
from tinydet.edge.sources.pipes import PipeConnection, csi_pipeline

needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None, reason="no gst-launch-1.0: apt install gstreamer1.0-tools"
)


def pipe_with(content: bytes) -> int:
    """The reading end of a pipe that `content` is written to."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(content)

    threading.Thread(target=write).start()
    return reading


def test_frames_of_a_fixed_size() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 480, 640, 3)).astype(np.uint8)
    pipe = pipe_with(images.tobytes() + b"half a frame")
    source = LiveSource("stdin://640x480", lambda: PipeConnection(pipe, (640, 480)), can_reopen=False)
    frames = list(source)
    assert np.array_equal([frame.image_rgb for frame in frames], images)
    assert [frame.name for frame in frames] == ["stdin-000000", "stdin-000001", "stdin-000002"]
    times_s = [frame.captured_s for frame in frames if frame.captured_s is not None]
    assert times_s == sorted(times_s)
    assert [frame.time_s for frame in frames] == [time_s - times_s[0] for time_s in times_s]


def test_ppm_frames_change_their_size_in_mid_stream() -> None:
    content = b"P6\n# a comment\n2 1\n255\n" + bytes(range(6)) + b"P6 1 1 255\n" + b"\n# " + b"P6 1 2 255 " + bytes(6)
    pipe = pipe_with(content)
    frames = list(LiveSource("stdin", lambda: PipeConnection(pipe, None), can_reopen=False))
    assert [frame.image_rgb.tolist() for frame in frames] == [
        [[[0, 1, 2], [3, 4, 5]]],
        [[[10, 35, 32]]],
        [[[0, 0, 0]], [[0, 0, 0]]],
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a and so on and on", "not binary PPM"),
        (b"P6 100000 100000 255\n", "a frame of 100000x100000"),
        (b"P6 2 2 65535\n", "not binary PPM"),
        (b"", "the stream ended"),
    ],
)
def test_input_that_is_no_frame_is_an_error(content: bytes, message: str) -> None:
    pipe = pipe_with(content)
    with pytest.raises(InputError, match=message):
        list(LiveSource("stdin", lambda: PipeConnection(pipe, None), can_reopen=False))


@pytest.mark.parametrize(
    ("size_wh", "content", "message"),
    [
        (None, b"P6 1 1 255\nabc", None),
        ((1, 1), b"abc", None),
        (None, b"P6 1 1 255\nabcGIF89a and so on and on", "not binary PPM"),
        (None, b"P6 1 1 255\nabcP6 1 1 255\na", "in the middle of a frame"),
        (None, b"P6 1 1 255\nabcP6 1", "in the middle of a frame"),
        ((1, 1), b"abca", "in the middle of a frame"),
    ],
)
def test_an_end_that_is_none_is_warned_of(
    size_wh: tuple[int, int] | None, content: bytes, message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = pipe_with(content)
    assert len(list(LiveSource("stdin", lambda: PipeConnection(pipe, size_wh), can_reopen=False))) == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (message is not None)
    assert message is None or message in warnings[0]


def test_a_stall_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "STALL_S", 0.2)
    pipe, writing = os.pipe()
    os.write(writing, b"P6 1 1 255\nabcP6 1 1 ")
    connection = PipeConnection(pipe, None)
    assert connection.read()[0].tolist() == [[[97, 98, 99]]]
    with pytest.raises(ConnectionLostError, match="no frame for 0 s"):
        connection.read()
    os.close(writing)


@needs_gstreamer
def test_a_gstreamer_pipeline(caplog: pytest.LogCaptureFixture) -> None:
    """A width that GStreamer pads its rows for; it ends after five frames and is opened again."""
    pipeline = (
        "gst:videotestsrc is-live=true num-buffers=5 pattern=red ! video/x-raw,width=322,height=241,framerate=30/1"
    )
    source = open_source(pipeline)
    assert source.is_live
    frames = list(itertools.islice(source, 8))
    assert {frame.image_rgb.shape for frame in frames} == {(241, 322, 3)}
    assert frames[0].image_rgb[240, 321].tolist() == pytest.approx([255, 0, 0], abs=3)
    assert [frame.index for frame in frames] == list(range(8))
    assert [message.rpartition("; ")[2] for message in caplog.messages[:1]] == ["opening it again in 0.5 s"]
    assert "back after" in caplog.messages[1]


@needs_gstreamer
def test_a_wrong_gstreamer_pipeline_is_an_error() -> None:
    with pytest.raises(InputError, match='no element "nosuchthing"'):
        list(open_source("gst:nosuchthing"))


class Flaky(Connection):
    """A connection that ends after one frame."""

    frames_per_s = None

    def __init__(self) -> None:
        self.has_frame = True

    def read(self) -> tuple[np.ndarray, float]:  # type: ignore[type-arg]
        if not self.has_frame:
            raise ConnectionLostError("the stream ended")
        self.has_frame = False
        return np.zeros((1, 1, 3), np.uint8), time.monotonic()

    def close(self) -> None:
        pass


def test_a_lost_source_is_tried_again_ever_more_slowly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_module, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(live_module, "LONGEST_DELAY_S", 0.04)
    caplog.set_level(logging.WARNING)
    answers = iter([True, True, False, False, False, False, True, True])

    def connect() -> Flaky:
        if not next(answers):
            raise InputError("cannot open it")
        return Flaky()

    source = LiveSource("flaky", connect)
    assert len(list(itertools.islice(source, 4))) == 4
    assert source.gaps == 3
    delays = [message.rpartition(" in ")[2] for message in caplog.messages if "opening it again" in message]
    assert delays == ["0.0 s"] * 7, "all below a tenth of a second"
    assert [message for message in caplog.messages if "cannot open it" in message] != []
    assert sum("back after" in message for message in caplog.messages) == 3


def test_close_ends_the_wait_for_a_lost_source() -> None:
    source = LiveSource("flaky", Flaky)
    frames = iter(source)
    next(frames)
    threading.Timer(0.1, source.close).start()
    start_s = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - start_s < 0.4, "of the 0.5 s it would have waited"


def test_a_stream_over_http(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.avi")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            source = open_source(f"http://127.0.0.1:{server.server_port}/clip.avi")
            frames = list(itertools.islice(source, 12))
        finally:
            server.shutdown()
    assert source.frames_per_s == 10
    assert {frame.image_rgb.shape for frame in frames} == {(48, 64, 3)}
    assert frames[-1].index == 11


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("webcam://0", r"unknown scheme webcam: expected a path, - or one of file://PATH, v4l2://0, csi://0, rtsp://"),
        ("v4l2://", "expected a camera's index or path"),
        ("v4l2://97", "cannot open v4l2://97"),
        ("/dev/video97", "cannot open /dev/video97"),
        ("v4l2://0?width=12cm", "width: expected a whole number, 1 to 32768, got '12cm'"),
        ("v4l2://0?zoom=2", "unknown option zoom: expected width, height, fps"),
        ("csi://front", "expected a camera's number"),
        ("rtsp://", "the address is missing"),
        ("rtsp://127.0.0.1:1/live", "cannot open rtsp://127.0.0.1:1/live"),
        ("gst:", "the pipeline is missing"),
        ("stdin://640", "expected stdin://WIDTHxHEIGHT@FPS"),
        ("stdin://0x480", "expected sides of 1 to 32768"),
        ("file:///nowhere.mp4", "/nowhere.mp4 does not exist"),
    ],
)
def test_a_wrong_uri_is_one_line(uri: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=message):
        open_source(uri)
    assert capfd.readouterr() == ("", "")


def test_every_scheme_has_an_example_of_its_own() -> None:
    for scheme, row in SCHEMES.items():
        assert row.example.startswith(f"{scheme}:")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "NVIDIA Jetson Orin Nano Developer Kit\0",
            "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=640,",
        ),
        ("Raspberry Pi 5 Model B Rev 1.0\0", "libcamerasrc ! video/x-raw,width=640,height=720,framerate=30/1"),
    ],
)
def test_csi_cameras_by_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, expected: str) -> None:
    (tmp_path / "model").write_text(model)
    monkeypatch.setattr(pipes, "DEVICE_TREE_MODEL", tmp_path / "model")
    assert expected in csi_pipeline("1", {"width": 640})


def test_csi_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "DEVICE_TREE_MODEL", tmp_path / "nothing")
    with pytest.raises(InputError, match="neither a Jetson nor a Raspberry Pi"):
        csi_pipeline("0", {})


def test_a_file_by_its_uri(tmp_path: Path) -> None:
    source = open_source(f"file://{write_clip(tmp_path / 'clip.mp4')}")
    assert (source.is_live, len(list(source))) == (False, 10)


def test_a_frame_that_came_after_the_stall_is_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg returns frames that its decoder held back when its wait times out."""
    write_clip(tmp_path / "clip.mp4", frames=3)
    connection = open_stream(str(tmp_path / "clip.mp4"))
    assert connection.read()[0].shape == (48, 64, 3)
    grab = connection._capture.grab

    class Late:
        def grab(self) -> bool:
            time.sleep(0.2)
            return grab()

    monkeypatch.setattr(connection, "_capture", Late())
    monkeypatch.setattr("tinydet.edge.sources.opencv_capture.STALL_S", 0.1)
    with pytest.raises(ConnectionLostError, match="no frame for"):
        connection.read()

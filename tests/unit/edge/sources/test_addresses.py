"""Names of sources that are none: refused in one line, at once, without a password in it."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from tests.unit.edge.sources.test_live_sources import pipe_with
from tinydet.edge.errors import InputError
from tinydet.edge.sources.live import LiveSource
from tinydet.edge.sources.opening import open_source
from tinydet.edge.sources.pipes import PipeConnection

LONG = "9" * 20

REFUSED = [
    "",
    " ",
    "a\0b",
    "\ud800",
    "rtsp://a\0b/live",
    "x" * 300,
    "x" * 5000,
    f"/{'d' * 255}/" * 20,
    "stdin://99999x99999",
    f"stdin://{LONG}x480",
    f"stdin://640x480@{LONG}",
    "stdin://640x480@0",
    "stdin://640x480@nan",
    "stdin://640x",
    "stdin://x480",
    "stdin://6\u00b20x480",
    "stdin://\u0664\u0664x480",
    f"v4l2://0?width={LONG}",
    "v4l2://0?width=99999",
    "v4l2://0?width=-1",
    "v4l2://0?width=",
    "v4l2://0?fps=\u00b2",
    "v4l2://0?fps=0",
    "v4l2://0?fps=100000",
    "v4l2://\u00b2",
    f"v4l2://{LONG}",
    "v4l2://",
    "v4l2:///no/such/device",
    "/dev/video\u00b2",
    "csi://\u00b2",
    f"csi://{LONG}",
    "http://",
    "http:///path",
    "http://:80/",
    "http://host:99999/",
    "http://host:port/",
    f"http://host:{LONG}/",
    f"http://{'a' * 64}.example/",
    f"rtsp://{'a.' * 200}example/",
    "http://[::1/",
    "http://a..b/",
    "udp://",
    "udp://host:99999",
    "rtsp://host/\x1b[31m",
    "gst:'unclosed",
    "ftp://host/a.mp4",
    "file://",
    "file:///nowhere\0",
]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_source_is_refused_at_once(name: str) -> None:
    start_s = time.monotonic()
    with pytest.raises(InputError) as caught:
        open_source(name)
    assert len(str(caught.value)) < 6000
    assert time.monotonic() - start_s < 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0", "the camera /dev/video0 is v4l2://0"),
        ("12", "the camera /dev/video12 is v4l2://12"),
        ("frames/%04d.jpg", "name the folder frames"),
        ("frames/*.jpg", "name the folder frames"),
        ("img[0-9].png", "name the folder ."),
    ],
)
def test_names_of_other_programs_lead_to_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"does not exist: ") as caught:
        open_source(name)
    assert message in str(caught.value)


def test_pipes_sockets_and_devices_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    os.mkfifo(tmp_path / "a.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "b.png"))
        cases: list[tuple[Path | str, str]] = [
            (tmp_path / "clip.mp4", "is a named pipe: for frames from it, redirect it to standard input"),
            (tmp_path / "a.jpg", "is a named pipe"),
            (f"file://{tmp_path / 'a.jpg'}", "is a named pipe"),
            (tmp_path / "b.png", "is a socket"),
            ("/dev/zero", "is a device"),
            ("/dev/null", "is a device"),
            (f"v4l2://{tmp_path / 'a.jpg'}", "is a named pipe, not a camera"),
        ]
        for name, kind in cases:
            with pytest.raises(InputError, match=kind):
                open_source(name)


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://admin:secret@127.0.0.1:1/live",
        "http://admin:se@cret@127.0.0.1:1/video?pwd=secret",
        "rtsp://admin:secret@host:99999/",
        "ftp://admin:secret@host/a.mp4",
        "stdin://admin:secret@",
        "udp://admin:secret@127.0.0.1:port",
    ],
)
def test_errors_hold_no_password(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        open_source(uri)
    assert "cret" not in str(caught.value)
    assert "***" in str(caught.value) or "admin" not in str(caught.value)


def test_the_name_of_a_source_holds_no_password() -> None:
    pipe = pipe_with(bytes(6))
    source = LiveSource("rtsp://admin:secret@host/live?token=secret", lambda: PipeConnection(pipe, (2, 1)))
    assert source.name == "rtsp://admin:***@host/live?token=***"
    frame = next(iter(source))
    assert frame.name == "rtsp-000000"
    assert "secret" not in json.dumps([source.name, frame.name])


@pytest.mark.parametrize(
    "content",
    [b"P6 99999999 1 255 ", b"P6 32768 32768 255 ", b"P6 0 5 255 ", b"P6\n#" + b"x" * 9000, b" " * 9000, bytes(9000)],
)
def test_a_header_that_asks_for_too_much(content: bytes) -> None:
    pipe = pipe_with(content)
    with pytest.raises(InputError):
        list(LiveSource("stdin", lambda: PipeConnection(pipe, None), can_reopen=False))


def test_a_long_comment_in_a_header_is_read() -> None:
    pipe = pipe_with(b"P6\n#" + b"x" * 3000 + b"\n1 1\n255\n" + bytes(3))
    (frame,) = LiveSource("stdin", lambda: PipeConnection(pipe, None), can_reopen=False)
    assert np.array_equal(frame.image_rgb, np.zeros((1, 1, 3)))

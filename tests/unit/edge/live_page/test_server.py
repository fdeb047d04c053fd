"""The live page over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from tests.unit.edge.live_page.live_results import NAMES, feeding, result
from tinydet.edge.errors import InputError
from tinydet.edge.live_page import server as live_page
from tinydet.edge.live_page.access import parse_serve_address
from tinydet.edge.live_page.server import LONGEST_SIDE_PX, LivePage, encode_picture
from tinydet.edge.live_page.status import LiveStatus

TOKEN = "abcdefghijklmnop-123"


@pytest.fixture
def page() -> Iterator[LivePage]:
    with LivePage(parse_serve_address("127.0.0.1:0"), NAMES, "n · clip") as opened:
        yield opened


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[LivePage]:
    monkeypatch.setenv("TINYDET_TOKEN", TOKEN)
    with LivePage(parse_serve_address("127.0.0.1:0"), NAMES, "n · clip") as opened:
        yield opened


def port_of(page: LivePage) -> int:
    return int(page.url.split("/")[2].rpartition(":")[2])


def get(page: LivePage, path: str, headers: dict[str, str] | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(page), timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def status_of(page: LivePage) -> Any:
    code, _, body = get(page, "/status")
    assert code == 200
    return json.loads(body)


class Stream:
    """Reads images from the stream as a browser does."""

    def __init__(self, page: LivePage, query: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port_of(page)), timeout=5)
        self.socket.sendall(f"GET /stream{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        assert self.file.readline().split()[1] == b"200"
        while self.file.readline() != b"\r\n":
            pass
        assert self.file.readline() == b"--frame\r\n"

    def picture(self) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
        length = 0
        while (line := self.file.readline()) != b"\r\n":
            assert line, "the stream ended"
            if line.startswith(b"Content-Length:"):
                length = int(line.split()[1])
        content = self.file.read(length)
        assert self.file.readline() == b"\r\n" and self.file.readline() == b"--frame\r\n"
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def test_the_page_needs_nothing_from_elsewhere(page: LivePage) -> None:
    code, headers, body = get(page, "/")
    assert (code, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"http://" not in body and b"https://" not in body
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(page, "/etc/passwd")[0] == 404


def test_numbers_before_the_first_frame_are_unknown_not_zero(page: LivePage) -> None:
    status = status_of(page)
    assert (status["state"], status["title"], status["frames"]) == ("waiting", "n · clip", 0)
    assert [status[key] for key in ("fps", "latency_ms", "age_ms", "dropped")] == [None] * 4


def test_numbers(page: LivePage) -> None:
    for index in range(41):
        page.write(result(index))
    status = status_of(page)
    assert (status["state"], status["frames"], status["dropped"], status["age_ms"]) == ("running", 41, 4, 30.0)
    assert status["latency_ms"]["infer"] == {"p50": 20.0, "p95": 21.0}
    assert status["latency_ms"]["total"] == {"p50": 23.0, "p95": 24.0}
    assert [(row["name"], row["count"]) for row in status["classes"]] == [("car", 1), ("person", 2)]
    assert (status["tracks"], status["image_wh"]) == (2, [320, 240])


def test_the_frame_rate(page: LivePage) -> None:
    for index in range(11):
        page.write(result(index))
        time.sleep(0.02)
    assert 10 < status_of(page)["fps"] < 50


def test_the_picture_moves(page: LivePage) -> None:
    with feeding(page.write):
        stream = Stream(page)
        first, *_, last = [stream.picture() for _ in range(5)]
        stream.close()
    assert first.shape == (240, 320, 3)
    assert (first != last).any()


def test_nothing_is_compressed_without_viewers(page: LivePage) -> None:
    with patch.object(live_page, "encode_picture", wraps=encode_picture) as encode:
        for index in range(20):
            page.write(result(index))
        assert status_of(page)["frames"] == 20
        assert encode.call_count == 0
        streams = [Stream(page) for _ in range(3)]
        pictures = [stream.picture() for stream in streams]
        assert encode.call_count == 1
    assert (pictures[0] == pictures[2]).all()
    for stream in streams:
        stream.close()


def test_a_viewer_that_reads_nothing_delays_no_other(page: LivePage) -> None:
    stuck = Stream(page)
    stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    longest_s = 0.0
    for index in range(40):
        noisy = result(index, (1280, 720))
        noisy.frame.image_rgb[:] = noise
        start = time.perf_counter()
        page.write(noisy)
        longest_s = max(longest_s, time.perf_counter() - start)
        time.sleep(0.01)
    assert longest_s < 1.0  # it would be ten seconds, the time after which a viewer is let go
    quick = Stream(page)
    assert quick.picture().shape == (720, 1280, 3)
    quick.close()
    stuck.close()


def test_large_frames_are_shrunk_with_their_boxes() -> None:
    large = result(0, (3840, 2160))
    decoded = cv2.imdecode(np.frombuffer(encode_picture(large, NAMES), np.uint8), cv2.IMREAD_COLOR)
    assert max(decoded.shape) == LONGEST_SIDE_PX
    assert large.frame.image_rgb.shape == (2160, 3840, 3)


def test_identities_are_shown() -> None:
    followed = result()
    assert encode_picture(followed, NAMES) != encode_picture(replace(followed, track_ids=None), NAMES)


def test_failures_are_counted(page: LivePage) -> None:
    assert status_of(page)["failures"] == []
    for _ in range(3):
        page.failures.add("mavlink", OSError("no route to rtsp://admin:secret@camera"))
    assert status_of(page)["failures"] == [{"helper": "mavlink", "count": 3}]


def test_a_broken_sensor_is_counted(page: LivePage, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> float:
        raise OSError("sensor does not answer")

    page._status = LiveStatus(NAMES, broken)
    for count in (1, 2):
        status = status_of(page)
        assert status["temperature_c"] is None
        assert status["failures"] == [{"helper": "temperature sensor", "count": count}]
    assert len([message for message in caplog.messages if "sensor does not answer" in message]) == 1


def test_an_unreadable_address_in_a_request(page: LivePage) -> None:
    with socket.create_connection(("127.0.0.1", port_of(page)), timeout=5) as viewer:
        viewer.sendall(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert viewer.recv(100).split()[1] == b"400"
    assert page.failures.counts() == {}


def test_a_password_in_the_title_is_masked() -> None:
    title = "n.onnx, rtsp://admin:secret@camera/1\x1b[31m"
    with LivePage(parse_serve_address("127.0.0.1:0"), ("a\ud800", "b\x1b"), title) as page:
        page.write(result())
        status = status_of(page)
    assert status["title"] == "n.onnx, rtsp://admin:***@camera/1\\x1b[31m"
    assert [row["name"] for row in status["classes"]] == ["a\\ud800", "b\\x1b"]


def test_a_silent_source_is_lost(page: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydet.edge.live_page.status.LOST_AFTER_S", 0.2)
    page.write(result())
    time.sleep(0.4)
    status = status_of(page)
    assert (status["state"], status["fps"]) == ("lost", None) and status["silent_s"] >= 0.4


@pytest.mark.parametrize("path", ["/", "/status", "/stream", "/?token=wrong", "/status?token=", "/?token=%C3%A4"])
def test_without_the_token_nothing_is_shown(guarded: LivePage, path: str) -> None:
    code, _, body = get(guarded, path)
    assert (code, body) == (403, b"wrong or missing token: open the address that tinydet printed\n")
    assert get(guarded, path, {"Cookie": "tinydet_token=wrong"})[0] == 403


def test_the_token_goes_from_the_address_into_a_cookie(guarded: LivePage) -> None:
    assert guarded.url.endswith(f"/?token={TOKEN}")
    code, headers, _ = get(guarded, f"/?token={TOKEN}")
    assert (code, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    pair = {"Cookie": cookie.partition(";")[0]}
    assert get(guarded, "/", pair)[0] == 200 and get(guarded, "/status", pair)[0] == 200
    assert get(guarded, f"/status?token={TOKEN}")[0] == 200


def test_every_network_needs_a_token_and_each_run_its_own() -> None:
    pages = [LivePage(parse_serve_address("0.0.0.0:0"), NAMES, "x") for _ in range(2)]
    tokens = {page.token for page in pages}
    for page in pages:
        with page:
            assert get(page, "/status")[0] == 403
            assert get(page, f"/status?token={page.token}")[0] == 200
    assert len(tokens) == 2 and all(token and len(token) >= 32 for token in tokens)


@pytest.mark.parametrize("token", ["short", "with spaces in it and long", ""])
def test_a_weak_token_is_refused(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("TINYDET_TOKEN", token)
    with pytest.raises(InputError, match="TINYDET_TOKEN: expected 16 or more"):
        LivePage(parse_serve_address("127.0.0.1:0"), NAMES, "x")


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:80", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
        ("evil.example", 403),
        ("10.0.0.3:80", 403),
        ("", 403),
    ],
)
def test_a_page_from_elsewhere_cannot_read_it_by_another_name(page: LivePage, host: str, code: int) -> None:
    assert get(page, "/status", {"Host": host})[0] == code


def test_a_port_in_use(page: LivePage) -> None:
    with pytest.raises(InputError, match=r"Address already in use.*choose another one"):
        LivePage(parse_serve_address(f"127.0.0.1:{port_of(page)}"), NAMES, "x")


def test_an_address_of_another_computer() -> None:
    with pytest.raises(InputError, match="cannot listen there"):
        LivePage(parse_serve_address("192.0.2.1:0"), NAMES, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost", "expected HOST:PORT"),
        ("127.0.0.1:", "expected HOST:PORT"),
        ("127.0.0.1:99999", "expected HOST:PORT"),
        ("::1:80", "expected HOST:PORT"),
        ("no-such-host.invalid:80", "no such host as no-such-host.invalid"),
        ("", "''"),
        ("808\u00b2", "expected HOST:PORT"),
        ("\u0668\u0660", "expected HOST:PORT"),
        ("9" * 5000, "expected HOST:PORT"),
        ("a..b:80", "no host can have the name"),
        ("x" * 70 + ":80", "no host can have the name"),
        ("\ud800:80", "no host can have the name"),
        ("127.0.0.1\0:80", r"'127.0.0.1\\x00:80'"),
        ("\x1b[31m", r"'\\x1b\[31m'"),
    ],
)
def test_a_wrong_address(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_serve_address(text)


@pytest.mark.parametrize(
    ("text", "host", "is_loopback"),
    [
        ("8080", "127.0.0.1", True),
        ("localhost:80", "localhost", True),
        ("[::1]:80", "::1", True),
        ("0.0.0.0:80", "0.0.0.0", False),
        ("[::]:80", "::", False),
    ],
)
def test_addresses(text: str, host: str, is_loopback: bool) -> None:
    address = parse_serve_address(text)
    assert (address.host, address.is_loopback) == (host, is_loopback)


def test_closing_ends_the_streams_and_frees_the_port() -> None:
    page = LivePage(parse_serve_address("127.0.0.1:0"), NAMES, "x")
    with page:
        page.write(result())
        stream = Stream(page)
        stream.picture()
    assert stream.file.read() == b""
    stream.close()
    with LivePage(parse_serve_address(f"127.0.0.1:{port_of(page)}"), NAMES, "x"):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "live-page"]

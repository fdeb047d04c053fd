"""Viewers beside sockets that send or read slowly; for a minute with TINYDET_SLOW_SOCKETS_S=60."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

import pytest

from tests.unit.edge.live_page.live_results import NAMES, feeding
from tests.unit.edge.live_page.test_server import Stream, get, port_of
from tinydet.edge.live_page import connections
from tinydet.edge.live_page.access import parse_serve_address
from tinydet.edge.live_page.connections import MOST_CONNECTIONS
from tinydet.edge.live_page.server import LivePage

SECONDS = float(os.environ.get("TINYDET_SLOW_SOCKETS_S", "2"))
PATIENCE_S = 8.0
T = TypeVar("T")
TOKEN = "abcdefghijklmnop-123"


@pytest.fixture(params=[None, TOKEN], ids=["open", "with a token"])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LivePage]:
    if request.param:
        monkeypatch.setenv("TINYDET_TOKEN", request.param)
    with LivePage(parse_serve_address("127.0.0.1:0"), NAMES, "x") as opened:
        yield opened


def send_a_byte_now_and_then(port: int, stop: threading.Event) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as slow:
        for byte in b"GET /stream HTTP/1.1\r\nX-Padding: " + b"x" * 10_000:
            slow.sendall(bytes([byte]))
            if stop.wait(min(2.0, SECONDS / 8)):
                return


def read_nothing(port: int, stop: threading.Event) -> None:
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(2)
        slow.connect(("127.0.0.1", port))
        slow.sendall(f"GET /stream?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while not stop.wait(0.5):
            if not slow.recv(1):
                return


def patiently(ask: Callable[[], T]) -> T:
    """Ask again as the page does: sockets that read slowly are viewers like others until they are stuck."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except (OSError, IndexError, http.client.HTTPException):
            assert time.monotonic() < end_s, "no answer"
            time.sleep(0.2)


@contextmanager
def slow_sockets(page: LivePage, behave: Callable[[int, threading.Event], None]) -> Iterator[None]:
    """As many as there are connections; each comes again when it was disconnected."""
    stop = threading.Event()

    def come_again() -> None:
        while not stop.is_set():
            with suppress(OSError):
                behave(port_of(page), stop)
            stop.wait(0.05)

    threads = [threading.Thread(target=come_again) for _ in range(MOST_CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("behave", [send_a_byte_now_and_then, read_nothing])
def test_a_viewer_gets_pictures_beside_32_slow_sockets(
    page: LivePage, behave: Callable[[int, threading.Event], None]
) -> None:
    token = "" if page.token is None else f"?token={TOKEN}"
    pictures, waits_s = 0, []
    with feeding(page.write), slow_sockets(page, behave):
        time.sleep(1.5)
        viewer = patiently(lambda: Stream(page, token))
        end_s = time.monotonic() + SECONDS
        while time.monotonic() < end_s:
            asked_s = time.monotonic()
            code, _, body = patiently(lambda: get(page, f"/status{token}"))
            assert (code, json.loads(body)["failures"]) == (200, [])
            waits_s.append(time.monotonic() - asked_s)
            for _ in range(5):
                viewer.picture()
                pictures += 1
        viewer.close()
    assert pictures >= SECONDS * 5 and max(waits_s) < PATIENCE_S
    print(f"{pictures} pictures in {SECONDS:.0f} s, longest answer {max(waits_s):.2f} s")  # noqa: T201


def test_a_request_must_arrive_in_time(page: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    with socket.create_connection(("127.0.0.1", port_of(page)), timeout=5) as slow:
        start_s = time.monotonic()
        with suppress(OSError):
            for _ in range(40):
                slow.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - start_s < 2
    assert page.failures.counts() == {}


def test_viewers_that_keep_up_are_never_disconnected(page: LivePage) -> None:
    token = "" if page.token is None else f"?token={TOKEN}"
    with feeding(page.write), ExitStack() as opened:
        viewers = [Stream(page, token) for _ in range(MOST_CONNECTIONS)]
        for viewer in viewers:
            opened.callback(viewer.close)
        late = opened.enter_context(socket.create_connection(("127.0.0.1", port_of(page)), timeout=5))
        assert late.recv(1) == b""
        for viewer in viewers:
            viewer.picture()


def test_the_address_with_the_most_connections_gives_way() -> None:
    pairs = [socket.socketpair() for _ in range(MOST_CONNECTIONS + 1)]
    opened = connections.Connections()
    assert opened.add(pairs[0][0], "192.0.2.1")
    for ours, _ in pairs[1:-1]:
        assert opened.add(ours, "192.0.2.2")
    assert opened.add(pairs[-1][0], "192.0.2.3")
    pairs[0][1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pairs[0][1].recv(1)
    assert pairs[1][1].recv(1) == b""
    for pair in pairs:
        for end in pair:
            end.close()

"""The live page's HTTP server: annotated images and the numbers of a running detector.

`/` is the page, `/stream` the images (JPEG, multipart/x-mixed-replace), `/status` the numbers (JSON). Images are drawn
and compressed in the viewers' threads, once per frame for all of them, and not at all without viewers. A slow viewer
gets fewer frames. The pipeline only stores its newest result here.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import re
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable, without_credentials
from tinydet.edge.live_page.access import (
    COOKIE,
    ServeAddress,
    choose_token,
    is_token,
    names_this_computer,
    own_address,
    token_of_cookies,
)
from tinydet.edge.live_page.connections import MOST_CONNECTIONS, Connections, RequestBytes
from tinydet.edge.live_page.status import LiveStatus
from tinydet.edge.sinks.drawing import draw_detections
from tinydet.edge.sinks.sink import Sink
from tinydet.edge.stream.failures import Failures
from tinydet.edge.stream.frame_result import FrameResult

LONGEST_SIDE_PX = 1280
JPEG_QUALITY = 80
SLOW_VIEWER_S = 10.0
"""Maximum seconds that a viewer may take to read an image before it is disconnected."""

LOOK_ROUND_S = 2.0
"""Seconds between checks whether the viewer of a stream without new images is still connected."""

_SEND_BUFFER = 1 << 18
_BOUNDARY = b"--frame\r\n"
_PAGE = Path(__file__).with_name("page.html")

_logger = logging.getLogger(__name__)


class LivePage(Sink):
    """A sink that shows results on a web page; the server runs while this context manager is open.

    Args:
        address: address to listen on. If others can reach it they need a token, see `choose_token` in access.py.
        class_names: class names of the model.
        title: title of the page: model and source; passwords in it are masked.
        failures: failures of all helpers, which the page shows; its own are added.

    Raises:
        InputError: the port is in use, or the address is not one of this computer's.
    """

    leaves_files = False

    def __init__(
        self, address: ServeAddress, class_names: Sequence[str], title: str, failures: Failures | None = None
    ) -> None:
        self.name = f"the live page at {address.host}:{address.port}"
        self.failures = failures or Failures()
        self._class_names = class_names
        self._status = LiveStatus(class_names)
        self._title = printable(without_credentials(title))
        self._changed = threading.Condition()
        self._newest: FrameResult | None = None
        self._number = 0
        self._closed = False
        self._encoding = threading.Lock()
        self._encoded: tuple[int, bytes] = (0, b"")
        self.token = choose_token(address)
        self._address = address
        try:
            self._server = _Server(address, self)
        except OSError as error:
            text, reason = f"{address.host}:{address.port}", error.strerror or error
            raise InputError(f"--serve {text}: cannot listen there ({reason}); choose another one") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="live-page", daemon=True)

    @property
    def url(self) -> str:
        """The address to open in a browser, with the token."""
        host = own_address() if self._address.host in ("0.0.0.0", "::") else self._address.host
        host = f"[{host}]" if ":" in host else host
        query = "" if self.token is None else f"?token={self.token}"
        return f"http://{host}:{self._server.server_address[1]}/{query}"

    def __enter__(self) -> LivePage:
        self._thread.start()
        return self

    def write(self, result: FrameResult) -> None:
        """Show this result until the next one."""
        with self._changed:
            self._status.add(result)
            self._newest = result
            self._number += 1
            self._changed.notify_all()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def status(self) -> dict[str, Any]:
        """The content of `/status`, see `LiveStatus.report`."""
        temperature_c = None
        try:  # without the lock: `write` must not wait for a slow sensor
            temperature_c = self._status.read_temperature_c()
        except (OSError, ValueError) as error:
            self.failures.add("temperature sensor", error)
        with self._changed:
            report = self._status.report()
        failures = [{"helper": helper, "count": count} for helper, count in self.failures.counts().items()]
        return {"title": self._title, **report, "temperature_c": temperature_c, "failures": failures}

    def next_jpeg(self, shown: int) -> tuple[int, bytes] | None:
        """Wait for a frame newer than number `shown`; returns the newest frame's number and JPEG.

        The JPEG is empty if none came within `LOOK_ROUND_S`. None when the page closes.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number > shown, LOOK_ROUND_S)
            if self._closed:
                return None
            if self._newest is None or self._number == shown:
                return shown, b""
            number, result = self._number, self._newest
        with self._encoding:
            if self._encoded[0] < number:
                self._encoded = (number, encode_picture(result, self._class_names))
            return self._encoded


def encode_picture(result: FrameResult, class_names: Sequence[str]) -> bytes:
    """JPEG of the frame with its detections, shrunk to `LONGEST_SIDE_PX` before drawing."""
    image_rgb, detections = result.frame.image_rgb, result.detections
    scale = LONGEST_SIDE_PX / max(image_rgb.shape[:2])
    if scale < 1:
        shrunk = cv2.resize(image_rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image_rgb = np.asarray(shrunk, np.uint8)
        boxes = (detections.boxes_xyxy_px * scale).astype(np.float32)
        detections = replace(detections, boxes_xyxy_px=boxes)
    drawn = cv2.cvtColor(draw_detections(image_rgb, detections, class_names, result.track_ids), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 4 * MOST_CONNECTIONS

    def __init__(self, address: ServeAddress, page: LivePage) -> None:
        self.address_family = address.family
        self.page = page
        self.connections = Connections()
        super().__init__((address.host, address.port), _Handler)

    @cached_property
    def html(self) -> bytes:
        return _PAGE.read_bytes()

    @cached_property
    def content_policy(self) -> str:
        """Content-Security-Policy that allows the page's own style and script only, by their hashes."""
        hashes = {
            tag: base64.b64encode(hashlib.sha256(content).digest()).decode()
            for tag, content in re.findall(rb"<(style|script)>(.*?)</\1>", self.html, re.DOTALL)
        }
        return (
            "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
            f"style-src 'sha256-{hashes[b'style']}'; script-src 'sha256-{hashes[b'script']}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def server_bind(self) -> None:
        # HTTPServer.server_bind looks up the host's name, which takes seconds without a name server.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.connections.add(request, str(client_address[0])):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self.connections.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):  # OSError: the viewer went away, or was too slow
            self.page.failures.add("live page", error)
        _logger.debug("live page: connection of %s ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "tinydet"
    sys_version = ""
    command = ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(RequestBytes(self.connection))

    def do_GET(self) -> None:
        self.connection.settimeout(SLOW_VIEWER_S)
        self.server.connections.sending(self.connection, True)
        try:
            address = urlsplit(self.path)
        except ValueError:
            self._refuse("bad address", HTTPStatus.BAD_REQUEST)
            return
        token = self.server.page.token
        if token is None:
            if not names_this_computer(self.headers.get("Host")):
                self._refuse("this page answers to localhost and 127.0.0.1 only")
                return
        else:
            in_query = parse_qs(address.query).get("token", [None])[-1]
            if is_token(in_query, token) and address.path == "/":
                self._keep_token(token)
                return
            if not (is_token(in_query, token) or is_token(token_of_cookies(self.headers.get("Cookie")), token)):
                self._refuse("wrong or missing token: open the address that tinydet printed")
                return
        if address.path == "/":
            self._answer(self.server.html, "text/html; charset=utf-8")
        elif address.path == "/status":
            self._answer(json.dumps(self.server.page.status(), allow_nan=False).encode(), "application/json")
        elif address.path == "/stream":
            self._stream()
        else:
            self._refuse("nothing here", HTTPStatus.NOT_FOUND)

    def _refuse(self, line: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        self._answer(f"{line}\n".encode(), "text/plain; charset=utf-8", status)

    def _keep_token(self, token: str) -> None:
        """Move the token from the address, where it could be seen and shared, into a cookie."""
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.send_header("Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")
        self._end_headers()

    def _answer(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self._end_headers()
        self.wfile.write(content)

    def _end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", self.server.content_policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def _stream(self) -> None:
        # A large buffer would hold seconds of old images for a slow viewer.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self._end_headers()
        self.wfile.write(_BOUNDARY)
        number, sending = 0, partial(self.server.connections.sending, self.connection)
        sending(False)
        while (picture := self.server.page.next_jpeg(number)) is not None:
            number, jpeg = picture
            if not jpeg:
                if self._is_viewer_gone():
                    return
                continue
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            # The boundary is sent with the image before it: browsers show an image when they read its end.
            sending(True)
            self.wfile.write(head + jpeg + b"\r\n" + _BOUNDARY)
            sending(False)

    def _is_viewer_gone(self) -> bool:
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False

    def log_message(self, format: str, *args: Any) -> None:
        # Without the request line, which may hold the token.
        _logger.debug("live page: %s %s", self.client_address[0], self.command)

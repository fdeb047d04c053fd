"""A web server on 127.0.0.1 that serves a folder, knows `Range`, and goes wrong where a test says so."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple


class Request(NamedTuple):
    """What a client asked for."""

    path: str
    range: str | None


class Handler(BaseHTTPRequestHandler):
    """Answers one request: with the next fault planted for its path, else with the file."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, FileServer)
        self.close_connection = True
        path = self.path.lstrip("/")
        server.requests.append(Request(path, self.headers.get("Range")))
        faults = server.faults[path]
        file = server.folder / path
        if faults:
            faults.pop(0)(self, file.read_bytes())
        elif file.is_file():
            self.answer(file.read_bytes())
        else:
            self.send_error(404)

    def answer(self, content: bytes, *, keep: int | None = None) -> None:
        """Send `content` from the requested byte on; with `keep`, only so many bytes of it."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(match[1]) if match else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:] if keep is None else content[start : start + keep])

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


Fault = Callable[[Handler, bytes], None]


class FileServer(ThreadingHTTPServer):
    """Serves `folder`; `faults` holds what goes wrong for a path, request by request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[Request] = []
        self.faults: dict[str, list[Fault]] = defaultdict(list)

    def handle_error(self, *_: object) -> None:
        """A client that went away is no error here."""


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """Serve `folder` until the block ends."""
    with FileServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def cut_after(count: int) -> Fault:
    """Announce everything, send `count` bytes, close the connection."""
    return lambda handler, content: handler.answer(content, keep=count)


def without_range(keep: int | None = None) -> Fault:
    """Send the file from its beginning, whatever was asked for."""

    def fault(handler: Handler, content: bytes) -> None:
        del handler.headers["Range"]
        handler.answer(content, keep=keep)

    return fault


def instead(other: bytes) -> Fault:
    """Send other content."""
    return lambda handler, _: handler.answer(other)


def unannounced(other: bytes) -> Fault:
    """Send other content without its length: it ends with the connection."""

    def fault(handler: Handler, _: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(other)

    return fault


def status(code: int) -> Fault:
    """Refuse."""
    return lambda handler, _: handler.send_error(code)


def redirect(location: str) -> Fault:
    """Send the client elsewhere."""

    def fault(handler: Handler, _: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def silent(count: int, until: threading.Event) -> Fault:
    """Send `count` bytes, then nothing until the event is set."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.answer(content, keep=count)
        handler.wfile.flush()
        until.wait(60)

    return fault

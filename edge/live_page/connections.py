"""Connections of the live page: how many, which one gives way to a new one, and how long a request may take."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

MOST_CONNECTIONS = 32
HEAD_S = 5.0
"""Maximum seconds for a whole request to arrive."""
STUCK_S = 1.0
"""Seconds that a viewer must have been reading one image before a new connection may take its place."""


@dataclass
class _Connection:
    address: str
    waits_since_s: float | None
    """Since when it waits for its viewer to send or read; None while it does not."""
    has_asked: bool = False
    """Whether its request has arrived."""


class Connections:
    """The open connections, at most `MOST_CONNECTIONS`; thread-safe.

    When all are taken, a new one takes the place of one that waits for its viewer: one whose request has not arrived
    yet, or else one whose viewer has been reading one image for `STUCK_S`. Of these the address with the most
    connections loses one first, then the longest wait. Viewers that keep up are never disconnected.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[socket.socket, _Connection] = {}

    def add(self, connection: socket.socket, address: str) -> bool:
        """Add a connection that waits for its request; False if there is no place for it."""
        with self._lock:
            if len(self._open) >= MOST_CONNECTIONS and not self._make_place():
                return False
            self._open[connection] = _Connection(address, time.monotonic())
            return True

    def sending(self, connection: socket.socket, is_sending: bool) -> None:
        """Note that a viewer, whose request has arrived, is now being sent something, or is not."""
        with self._lock:
            if connection in self._open:  # not if it has given way
                self._open[connection].has_asked = True
                self._open[connection].waits_since_s = time.monotonic() if is_sending else None

    def remove(self, connection: socket.socket) -> None:
        """Remove a connection that ends."""
        with self._lock:
            self._open.pop(connection, None)

    def _make_place(self) -> bool:
        by_address = Counter(connection.address for connection in self._open.values())
        now = time.monotonic()
        ranks = {}
        for open_socket, connection in self._open.items():
            waited_s = -1.0 if connection.waits_since_s is None else now - connection.waits_since_s
            if waited_s >= (STUCK_S if connection.has_asked else 0):
                ranks[open_socket] = (not connection.has_asked, by_address[connection.address], waited_s)
        if not ranks:
            return False
        chosen = max(ranks, key=ranks.__getitem__)
        del self._open[chosen]
        with suppress(OSError):
            chosen.shutdown(socket.SHUT_RDWR)  # its thread, which waits, ends
        return True


class RequestBytes(io.RawIOBase):
    """The bytes of a request, which must all arrive within `HEAD_S`; `TimeoutError` if they do not."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._end_s = time.monotonic() + HEAD_S

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive into a buffer; returns the number of bytes, 0 at the end."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the request did not arrive in time")
        self._connection.settimeout(left_s)
        return self._connection.recv_into(buffer)

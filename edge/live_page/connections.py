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


@dataclass(frozen=True, kw_only=True)
class _Connection:
    socket: socket.socket
    address: str
    has_asked: bool
    """Whether its request has arrived."""
    waits_since_s: float | None
    """Since when it waits for its viewer to send or read; None while it does not."""


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
            self._note(connection, address, has_asked=False, waits=True)
            return True

    def sending(self, connection: socket.socket, is_sending: bool) -> None:
        """Note that a viewer, whose request has arrived, is now being sent something, or is not."""
        with self._lock:
            if connection in self._open:  # not if it has given way
                self._note(connection, self._open[connection].address, has_asked=True, waits=is_sending)

    def remove(self, connection: socket.socket) -> None:
        """Remove a connection that ends."""
        with self._lock:
            self._open.pop(connection, None)

    def _note(self, connection: socket.socket, address: str, *, has_asked: bool, waits: bool) -> None:
        since_s = time.monotonic() if waits else None
        self._open[connection] = _Connection(
            socket=connection, address=address, has_asked=has_asked, waits_since_s=since_s
        )

    def _make_place(self) -> bool:
        by_address = Counter(connection.address for connection in self._open.values())
        now = time.monotonic()
        found: _Connection | None = None
        rank = (False, 0, 0.0)
        for connection in self._open.values():
            waited_s = -1.0 if connection.waits_since_s is None else now - connection.waits_since_s
            if waited_s < (STUCK_S if connection.has_asked else 0):
                continue
            own_rank = (not connection.has_asked, by_address[connection.address], waited_s)
            if found is None or own_rank > rank:
                found, rank = connection, own_rank
        if found is None:
            return False
        del self._open[found.socket]
        with suppress(OSError):
            found.socket.shutdown(socket.SHUT_RDWR)  # its thread, which waits, ends
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

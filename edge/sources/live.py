"""Live sources: cameras and streams that are reopened when they end, break or stall."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable, without_credentials
from tinydet.edge.sources.frames import Frame, Source

STALL_S = 5.0
"""Maximum seconds without a frame before a source is opened again."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 8.0
"""Seconds before a source is opened again; doubled after each failure, until a frame arrives."""

_logger = logging.getLogger(__name__)


class ConnectionLostError(Exception):
    """A connection gives no more frames: it ended, broke, or stalled."""


class StreamEndedError(ConnectionLostError):
    """The stream ended after a complete frame, as standard input does when its writer closes it."""


class Connection(ABC):
    """An open camera or stream."""

    frames_per_s: float | None
    """Frame rate; None if the connection does not state one."""

    @abstractmethod
    def read(self) -> tuple[npt.NDArray[np.uint8], float]:
        """Wait for the next image, (H, W, 3) uint8 RGB; returned with the `time.monotonic()` of its arrival.

        Raises:
            ConnectionLostError: the connection ended or broke, or no frame came within `STALL_S`.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the device or connection."""


class LiveSource(Source):
    """Frames of a connection, which is opened again when it is lost.

    Args:
        name: the URI that the user gave; passwords in it are masked.
        connect: opens a connection; raises `InputError` if it cannot.
        can_reopen: False if a lost connection is the end (standard input).

    Raises:
        InputError: the source cannot be opened, or is lost before its first frame. Later losses are logged, and it is
            opened again.
    """

    def __init__(self, name: str, connect: Callable[[], Connection], *, can_reopen: bool = True) -> None:
        self.name = printable(without_credentials(name))
        self.is_live = True
        self.frame_count = None
        self.gaps = 0
        """Number of times that the connection was lost."""
        self._connect = connect
        self._can_reopen = can_reopen
        self._closed = threading.Event()
        self._connection: Connection | None = connect()
        self.frames_per_s = self._connection.frames_per_s

    def __iter__(self) -> Iterator[Frame]:
        prefix = self.name.partition(":")[0].replace("/", "-").strip("-")
        delay_s, index = FIRST_DELAY_S, 0
        first_s = last_s = lost_s = None
        try:
            while not self._closed.is_set():
                try:
                    if self._connection is None:
                        self._connection = self._connect()
                    image_rgb, captured_s = self._connection.read()
                except (ConnectionLostError, InputError) as error:
                    self._disconnect()
                    if last_s is None:
                        raise InputError(f"source {self.name}: {error}") from error
                    if not self._can_reopen:
                        level = logging.INFO if isinstance(error, StreamEndedError) else logging.WARNING
                        _logger.log(level, "source %s: %s", self.name, error)
                        return
                    if lost_s is None:
                        self.gaps += 1
                        lost_s = last_s
                    _logger.warning("source %s: %s; opening it again in %.1f s", self.name, error, delay_s)
                    self._closed.wait(delay_s)
                    delay_s = min(2 * delay_s, LONGEST_DELAY_S)
                    continue
                if lost_s is not None:
                    _logger.warning("source %s: back after %.1f s without a frame", self.name, captured_s - lost_s)
                first_s = captured_s if first_s is None else first_s
                last_s, lost_s, delay_s = captured_s, None, FIRST_DELAY_S
                yield Frame(
                    index=index,
                    name=f"{prefix}-{index:06d}",
                    image_rgb=image_rgb,
                    time_s=captured_s - first_s,
                    captured_s=captured_s,
                )
                index += 1
        finally:
            self._disconnect()

    def close(self) -> None:
        self._closed.set()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

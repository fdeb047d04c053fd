"""Telling the service manager that we live (sd_notify(3)): a datagram to the socket it names, nothing without one."""

from __future__ import annotations

import os
import socket
import time

BEAT_S = 1.0
"""The most often that life is told."""


class ServiceManager:
    """systemd, if it started us with `Type=notify` and asked for signs of life with `WatchdogSec`."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._last_beat_s: float | None = None

    def beat(self) -> None:
        """A frame went through: ready, with the first; alive, at most once a second."""
        now_s = time.monotonic()
        if self._last_beat_s is None:
            self._tell("READY=1\nWATCHDOG=1")
        elif now_s - self._last_beat_s >= BEAT_S:
            self._tell("WATCHDOG=1")
        else:
            return
        self._last_beat_s = now_s

    def stopping(self) -> None:
        """Outputs are being closed."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if self._address:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
                datagram.sendto(state.encode(), self._address)

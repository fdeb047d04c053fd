"""Notifications to systemd (sd_notify(3)): datagrams to the socket in NOTIFY_SOCKET; none where that is not set."""

from __future__ import annotations

import os
import socket
import time

from tinydet.edge.stream.failures import Failures

BEAT_S = 1.0
"""Minimum seconds between watchdog pings."""


class ServiceManager:
    """systemd, where it started us with `Type=notify`, and pings with `WatchdogSec`.

    A notification that fails is counted, logged the first time, and never stops the flight.
    """

    def __init__(self, failures: Failures | None = None) -> None:
        self._failures = failures or Failures()
        self._address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._last_beat_s = -BEAT_S
        self._is_ready = False

    def beat(self) -> None:
        """Ping after a frame, at most once a second; the first ping says that the service is ready."""
        now_s = time.monotonic()
        if now_s - self._last_beat_s >= BEAT_S:
            self._last_beat_s = now_s
            self._is_ready = self._notify("WATCHDOG=1" if self._is_ready else "READY=1\nWATCHDOG=1")

    def stopping(self) -> None:
        """Say that outputs are being closed."""
        self._notify("STOPPING=1")

    def _notify(self, state: str) -> bool:
        """False where it could not be sent."""
        if not self._address:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
                datagram.setblocking(False)  # systemd may be slow to read; frames do not wait for it
                datagram.sendto(state.encode(), self._address)
        except (OSError, ValueError) as error:  # ValueError: nothing can have that address
            self._failures.add("systemd", OSError(f"cannot notify it at {self._address} ({error})"))
            return False
        return True

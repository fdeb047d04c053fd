"""`Failures`: counts the failures of a flight's helpers (sinks, MAVLink, live page, systemd), none of which ends it."""

from __future__ import annotations

import logging
import threading

from tinydet.edge.files.printable import printable, without_credentials

_logger = logging.getLogger(__name__)


class Failures:
    """Counts failures by helper, and logs the first one of each; thread-safe.

    A helper that failed and works again may fail anew: that is logged too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._failing: set[str] = set()

    def add(self, helper: str, error: BaseException) -> None:
        """Count a failure of a helper; it is logged unless the helper failed before and did not recover."""
        with self._lock:
            self._counts[helper] = self._counts.get(helper, 0) + 1
            is_new = helper not in self._failing
            self._failing.add(helper)
        if is_new:
            # Other errors than these may have a text without their kind, such as KeyError's.
            text = str(error) if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {error}"
            _logger.error("%s: %s; detection goes on without it", helper, printable(without_credentials(text)))

    def recovered(self, helper: str) -> None:
        """Log that a helper works again, if it failed before."""
        with self._lock:
            is_back = helper in self._failing
            self._failing.discard(helper)
        if is_back:
            _logger.warning("%s is back", helper)

    def counts(self) -> dict[str, int]:
        """Number of failures so far by helper; helpers without one are absent."""
        with self._lock:
            return dict(self._counts)

"""`SinkThreads`: every sink in a thread of its own, so that a slow or failed one holds up nothing else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack

from tinydet.edge.sinks.sink import Sink
from tinydet.edge.stream.failures import Failures
from tinydet.edge.stream.frame_queue import FrameQueue
from tinydet.edge.stream.frame_result import FrameResult

WAITING_FRAMES = 4
"""Results that a sink may lag behind; each of them holds its image."""
CLOSING_S = 60.0
"""Longest wait in seconds for the sinks of a live source to end: a disk or a pipe may block for ever."""

_logger = logging.getLogger(__name__)


class SinkThreads:
    """Gives results to sinks. A sink that lags drops results of a live source; with files, `write` waits for it.

    The `with` statement opens the sinks and raises their errors. A sink that fails later, by whatever error, is closed
    and counted, and the others go on.
    """

    def __init__(self, sinks: Sequence[Sink], *, is_live: bool, failures: Failures | None = None) -> None:
        self.failed: list[Sink] = []
        self._sinks = sinks
        self._is_live = is_live
        self._failures = failures or Failures()
        self._queues: list[FrameQueue[FrameResult]] = [FrameQueue(WAITING_FRAMES, latest_first=is_live) for _ in sinks]
        # Daemons: a sink that blocks for ever must not keep the process alive.
        self._threads = [
            threading.Thread(target=self._feed, args=pair, name=f"sink {pair[0].name}", daemon=True)
            for pair in zip(sinks, self._queues, strict=True)
        ]
        self._error: BaseException | None = None

    def __enter__(self) -> SinkThreads:
        with ExitStack() as opened:
            for sink in self._sinks:
                opened.enter_context(sink)
            opened.pop_all()
        for thread in self._threads:
            thread.start()
        return self

    def write(self, result: FrameResult) -> None:
        """Give a result to every sink that has not failed."""
        for queue in self._queues:
            queue.put(result)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._error = error
        for queue in self._queues:
            queue.close(error)
        end_s = time.monotonic() + CLOSING_S
        for sink, queue, thread in zip(self._sinks, self._queues, self._threads, strict=True):
            thread.join(max(0.0, end_s - time.monotonic()) if self._is_live else None)
            if thread.is_alive():
                self._fail(sink, TimeoutError(f"it did not end within {CLOSING_S:g} s"))
            elif queue.dropped and sink not in self.failed:
                _logger.warning("%s is slower than the source: it dropped %d results", sink.name, queue.dropped)

    def _feed(self, sink: Sink, queue: FrameQueue[FrameResult]) -> None:
        try:
            with ExitStack() as closing:
                closing.push(sink)
                for result in queue:
                    sink.write(result)
        except BaseException as error:  # noqa: BLE001
            # The one place where a sink's failure of any kind ends: sinks call codecs, disks and sockets, whose errors
            # cannot be listed, and none of them is worth the flight. The run's own error comes through the queue.
            if error is not self._error:
                self._fail(sink, error)
        finally:
            queue.close(discard=True)

    def _fail(self, sink: Sink, error: BaseException) -> None:
        self.failed.append(sink)
        self._failures.add(sink.name, error)

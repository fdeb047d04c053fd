"""`SinkThreads`: every sink in a thread of its own, so that a slow or failed one holds up nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from types import TracebackType

from tinydet.edge.sinks.sink import Sink
from tinydet.edge.stream.frame_queue import FrameQueue
from tinydet.edge.stream.frame_result import FrameResult

WAITING_FRAMES = 4
"""Results that a sink may lag behind; each of them holds its image."""

_logger = logging.getLogger(__name__)


class SinkThreads:
    """Gives results to sinks. A sink that lags drops results of a live source; with files, `write` waits for it.

    The `with` statement opens the sinks and raises their errors. A sink that fails later is closed and logged, and the
    others go on.
    """

    def __init__(self, sinks: Sequence[Sink], *, is_live: bool) -> None:
        self.failed: list[Sink] = []
        self._sinks = sinks
        self._queues: list[FrameQueue[FrameResult]] = [FrameQueue(WAITING_FRAMES, latest_first=is_live) for _ in sinks]
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(sinks)), thread_name_prefix="sink")
        self._error: BaseException | None = None

    def __enter__(self) -> SinkThreads:
        with ExitStack() as opened:
            for sink in self._sinks:
                opened.enter_context(sink)
            opened.pop_all()
        for sink, queue in zip(self._sinks, self._queues, strict=True):
            self._threads.submit(_feed, sink, queue).add_done_callback(partial(self._report, sink))
        return self

    def write(self, result: FrameResult) -> None:
        """Give a result to every sink that has not failed."""
        for queue in self._queues:
            queue.put(result)

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._error = error
        for queue in self._queues:
            queue.close(error)
        self._threads.shutdown(wait=True)
        for sink, queue in zip(self._sinks, self._queues, strict=True):
            if queue.dropped and sink not in self.failed:
                _logger.warning("%s is slower than the source: it dropped %d results", sink.name, queue.dropped)

    def _report(self, sink: Sink, done: Future[None]) -> None:
        error = done.exception()
        if error is not None and error is not self._error:
            self.failed.append(sink)
            _logger.error("%s: %s; detection goes on without it", sink.name, error)


def _feed(sink: Sink, queue: FrameQueue[FrameResult]) -> None:
    try:
        with ExitStack() as closing:
            closing.push(sink)
            for result in queue:
                sink.write(result)
    finally:
        queue.close(discard=True)

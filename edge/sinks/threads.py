"""Every sink in a thread of its own: a slow or broken one costs neither the detector nor its neighbours anything."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from types import TracebackType

from tinydet.edge.sinks.sink import Sink
from tinydet.edge.stream.frame_queue import Channel
from tinydet.edge.stream.frame_result import FrameResult

WAITING_FRAMES = 4
"""How many results a sink may lag behind; each holds its image."""

_logger = logging.getLogger(__name__)


class SinkThreads:
    """Hands results to sinks. Sinks of a live source that lag leave results out; those of files make `write` wait.

    Sinks are opened by the `with` statement, whose errors are raised there. Later a failing sink is closed and logged,
    the others go on.
    """

    def __init__(self, sinks: Sequence[Sink], *, is_live: bool) -> None:
        self.failed: list[Sink] = []
        self._sinks = sinks
        self._channels: list[Channel[FrameResult]] = [Channel(WAITING_FRAMES, latest_first=is_live) for _ in sinks]
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(sinks)), thread_name_prefix="sink")
        self._error: BaseException | None = None

    def __enter__(self) -> SinkThreads:
        with ExitStack() as opened:
            for sink in self._sinks:
                opened.enter_context(sink)
            opened.pop_all()
        for sink, channel in zip(self._sinks, self._channels, strict=True):
            self._threads.submit(_feed, sink, channel).add_done_callback(partial(self._report, sink))
        return self

    def write(self, result: FrameResult) -> None:
        """To every sink that has not failed."""
        for channel in self._channels:
            channel.put(result)

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._error = error
        for channel in self._channels:
            channel.close(error)
        self._threads.shutdown(wait=True)
        for sink, channel in zip(self._sinks, self._channels, strict=True):
            if channel.dropped and sink not in self.failed:
                _logger.warning("%s is slower than the source: it left out %d results", sink.name, channel.dropped)

    def _report(self, sink: Sink, done: Future[None]) -> None:
        error = done.exception()
        if error is not None and error is not self._error:
            self.failed.append(sink)
            _logger.error("%s: %s; detection goes on without it", sink.name, error)


def _feed(sink: Sink, channel: Channel[FrameResult]) -> None:
    try:
        with ExitStack() as closing:
            closing.push(sink)
            for result in channel:
                sink.write(result)
    finally:
        channel.close(discard=True)

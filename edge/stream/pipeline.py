"""`Pipeline`: detection in a stream; reading, letterbox, inference and postprocessing run in threads of their own.

    capture thread -> frames -> prepare thread -> under way (the runtime's threads) -> the thread that iterates

Files wait: no frame is dropped, and while the runtime works the next frame is prepared. Live sources do not: of the
frames that arrive during an inference only the latest is kept, and it is taken when the runtime is free, not before. So
a result is never older than one frame interval plus one inference. numpy, OpenCV and the runtimes release Python's lock
while they compute.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tinydet.edge.detection.detector import Detector, Pending
from tinydet.edge.detection.slicing import SlicedDetector
from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame, Source
from tinydet.edge.stream.frame_queue import ClosedError, FrameQueue
from tinydet.edge.stream.frame_result import FrameResult

READ_AHEAD = 2
"""Frames of a file to decode in advance."""
POLL_S = 0.1
"""Longest time in seconds until `stop` takes effect."""
JOIN_S = 10.0
"""Longest wait in seconds for a thread to end; a camera's driver may block for ever."""

_logger = logging.getLogger(__name__)


class Tracks(Protocol):
    """A tracker, as the pipeline uses it."""

    min_score: float
    """Minimum score of the detections that `update` uses, 0 to 1."""

    def update(self, detections: Detections, frame: Frame) -> npt.NDArray[np.int64]:
        """Return the identity (N,) of each detection, -1 for none yet; frames come in order."""


class Pipeline:
    """Iterates over the results of a source, in the order of its frames, once.

        with Pipeline(open_source("clip.mp4"), Detector("n")) as pipeline:
            for result in pipeline:
                print(result.frame.name, len(result.detections))

    Its threads end with the iteration, with `close` or the `with` block, and at the latest with the process. Errors of
    the source (of files only: live sources are reopened) and of the detector are raised by the iteration.

    Args:
        source: frames to detect in, from `open_source`.
        detector: detects in each frame, in whole or in tiles.
        tracker: gives detections an identity. It gets all detections from its `min_score` on; those below the
            detector's score threshold are then kept only with a track.
    """

    def __init__(self, source: Source, detector: Detector | SlicedDetector, tracker: Tracks | None = None) -> None:
        self._source = source
        self._detector = detector
        self._tracker = tracker
        self.is_stopping = False
        """Whether `stop` was called."""
        self._parallel = detector.runtime.parallel
        self._frames: FrameQueue[Frame] = FrameQueue(1 if source.is_live else READ_AHEAD, latest_first=source.is_live)
        self._under_way: FrameQueue[tuple[Frame, Pending]] = FrameQueue(self._parallel)
        self._threads: list[threading.Thread] = []
        self._has_started = False

    @property
    def dropped(self) -> int:
        """Number of frames of a live source dropped so far; 0 for files unless they were stopped."""
        return self._frames.dropped

    def stop(self) -> None:
        """End the iteration after the frames under way. Only sets a flag, so that a signal handler may call it."""
        self.is_stopping = True

    def close(self) -> None:
        """End at once: close the source, drop the frames under way, wait for the threads."""
        self._end()
        self._under_way.close(discard=True)
        while self._threads:
            thread = self._threads.pop()
            thread.join(JOIN_S)
            if thread.is_alive():
                _logger.warning("source %s: thread %s did not end in %.0f s", self._source.name, thread.name, JOIN_S)
        atexit.unregister(self.close)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[FrameResult]:
        if self._has_started:
            raise ValueError("this pipeline was iterated before: make a new one")
        self._has_started = True
        # Daemons, which `atexit` ends: waiting threads must not keep a process alive whose main thread failed.
        self._threads = [
            threading.Thread(target=self._capture, name="capture", daemon=True),
            threading.Thread(target=self._prepare, name="prepare", daemon=True),
        ]
        atexit.register(self.close)
        for thread in self._threads:
            thread.start()
        try:
            yield from self._finish()
        finally:
            self.close()

    def _capture(self) -> None:
        with self._frames:
            for frame in self._source:
                if not self._frames.put(frame):
                    break

    def _prepare(self) -> None:
        """Letterbox and submit. A frame of a live source is taken only when the runtime is free."""
        free = threading.Semaphore(self._parallel)
        try:
            with self._under_way, suppress(ClosedError):
                while True:
                    if self._source.is_live:
                        free.acquire()
                    frame = self._frames.get()
                    pending = self._detector.submit(frame.image_rgb, score_threshold=self._lowest_score())
                    if self._source.is_live:
                        pending.on_inferred(free.release)
                    if not self._under_way.put((frame, pending)):
                        break
        finally:
            self._frames.close(discard=True)

    def _finish(self) -> Iterator[FrameResult]:
        """Postprocess and track, in the thread that iterates."""
        while True:
            if self.is_stopping:
                self._end()
            try:
                frame, pending = self._under_way.get(POLL_S)
            except TimeoutError:
                continue
            except ClosedError:
                return
            detections, times = pending.wait()
            track_ids = None
            if self._tracker is not None:
                track_ids = self._tracker.update(detections, frame)
                shown = (track_ids >= 0) | (detections.scores >= self._detector.score_threshold)
                detections, track_ids = detections.select(shown), track_ids[shown]
            yield FrameResult(
                frame=frame,
                detections=detections,
                track_ids=track_ids,
                times=times,
                age_ms=None if frame.captured_s is None else (time.monotonic() - frame.captured_s) * 1e3,
                dropped=self.dropped,
            )

    def _lowest_score(self) -> float:
        own = self._detector.score_threshold
        return own if self._tracker is None else min(own, self._tracker.min_score)

    def _end(self) -> None:
        """Close the source, and drop frames that are not under way yet."""
        self._source.close()
        self._frames.close(discard=True)

"""Detecting in a stream: reading, letterboxing, inference and what follows it, each in its own thread.

    capture thread -> frames -> prepare thread -> under way (the runtime's own threads) -> whoever iterates

Files wait: every frame is detected in, and one more than the runtime works on is prepared meanwhile. Live sources do
not: of the frames that arrive during an inference only the latest is kept, and it is taken when the runtime is free,
not before. A result is so never older than one frame interval plus one inference. numpy, OpenCV and the runtimes
release Python's lock while they compute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tinydet.edge.detection.detector import Detector, Pending
from tinydet.edge.detection.slicing import SlicedDetector
from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame, Source
from tinydet.edge.stream.frame_queue import Channel, ClosedError
from tinydet.edge.stream.frame_result import FrameResult

READ_AHEAD = 2
"""Frames of a file that are decoded before they are needed."""
POLL_S = 0.1
"""How long a stop that was asked for may go unnoticed."""


class Tracks(Protocol):
    """What gives detections their identity over time."""

    def update(self, detections: Detections, frame: Frame) -> npt.NDArray[np.int64]:
        """(N,) identity of each detection, -1 for none yet; frames come in order."""


class Pipeline:
    """Iterates over the results of a source, in the order of its frames. Can be iterated once.

    With a tracker, detections below `untracked_score` that belong to no track are left out: a tracker wants to see
    unsure detections, people do not.

    Errors of the source (files only: live ones are reopened) and of the detector are raised by the iteration.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector | SlicedDetector,
        tracker: Tracks | None = None,
        *,
        untracked_score: float = 0.0,
    ) -> None:
        self._source = source
        self._detector = detector
        self._tracker = tracker
        self._untracked_score = untracked_score
        self.is_stopping = False
        """Somebody asked for an end."""
        runtime = detector.detector.runtime if isinstance(detector, SlicedDetector) else detector.runtime
        self._parallel = runtime.parallel
        self._frames: Channel[Frame] = Channel(1 if source.is_live else READ_AHEAD, latest_first=source.is_live)
        self._under_way: Channel[tuple[Frame, Pending]] = Channel(runtime.parallel)

    @property
    def dropped(self) -> int:
        """Frames of a live source that were left out so far; 0 for files unless they were stopped."""
        return self._frames.dropped

    def stop(self) -> None:
        """End after the frames that are under way. Only sets a flag, so that a signal handler may call it."""
        self.is_stopping = True

    def __iter__(self) -> Iterator[FrameResult]:
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="pipeline") as threads:
            capture, prepare = threads.submit(self._capture), threads.submit(self._prepare)
            try:
                yield from self._finish()
            finally:
                self._end()
                self._under_way.close(discard=True)
        prepare.result()
        capture.result()

    def _capture(self) -> None:
        try:
            for frame in self._source:
                if not self._frames.put(frame):
                    break
        finally:
            self._frames.close()

    def _prepare(self) -> None:
        """Letterbox and submit. Of a live source a frame is taken only when the runtime is free to begin with it."""
        free = threading.Semaphore(self._parallel)
        try:
            while True:
                if self._source.is_live:
                    free.acquire()
                frame = self._frames.get()
                pending = self._detector.submit(frame.image_rgb)
                if self._source.is_live:
                    pending.on_inferred(free.release)
                if not self._under_way.put((frame, pending)):
                    break
        except ClosedError:
            return
        finally:
            self._under_way.close()
            self._frames.close(discard=True)

    def _finish(self) -> Iterator[FrameResult]:
        """Postprocess and track, in the caller's thread."""
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
                shown = (track_ids >= 0) | (detections.scores >= self._untracked_score)
                detections, track_ids = detections.select(shown), track_ids[shown]
            yield FrameResult(
                frame=frame,
                detections=detections,
                track_ids=track_ids,
                times=times,
                age_ms=None if frame.captured_s is None else (time.monotonic() - frame.captured_s) * 1e3,
                dropped=self.dropped,
            )

    def _end(self) -> None:
        """Let the source end, and forget frames that nobody began with."""
        self._source.close()
        self._frames.close(discard=True)

"""`AnnotatedVideo`: a video with the detections drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2

from tinydet.edge.detection.letterbox import letterbox
from tinydet.edge.errors import InputError
from tinydet.edge.files.regular_file import utf8_name
from tinydet.edge.files.writing import atomic_path, check_room, writable_folder
from tinydet.edge.sinks.drawing import draw_detections
from tinydet.edge.sinks.sink import Sink
from tinydet.edge.sources.frames import Source
from tinydet.edge.stream.frame_result import FrameResult

FALLBACK_FRAMES_PER_S = 25.0
"""Frame rate for a file that does not state its own."""
LIVE_FRAMES_PER_S = 10
"""Frame rate for a live source, whose results come unevenly: one image per tenth of a second."""
_LOWEST_FRAMES_PER_S, _HIGHEST_FRAMES_PER_S, _MOST_TICKS = 0.01, 1000.0, 65535
_OPENCV_LOGS_NOTHING = 0
LONGEST_GAP_S = 1.0
"""Longest gap of a live source to show; longer ones are shortened to it."""


def writable_rate(frames_per_s: float) -> float:
    """The nearest frame rate that MPEG-4 can store: OpenCV writes it as N / 10^k, and N has 16 bits."""
    bounded = min(max(frames_per_s, _LOWEST_FRAMES_PER_S), _HIGHEST_FRAMES_PER_S)
    decimals = int(math.log10(_MOST_TICKS / bounded))
    return round(bounded, decimals)


class AnnotatedVideo(Sink):
    """Writes all frames with their detections drawn: MP4 for a file, Matroska named by the time for a live source.

    Matroska stays playable when the power is cut. A frame of another size than the first is fitted into it.
    """

    def __init__(self, path: Path, class_names: Sequence[str], frames_per_s: float, *, is_live: bool = False) -> None:
        self.name = str(path)
        self._path = path
        self._folder = writable_folder(path.parent)
        self._class_names = class_names
        self._frames_per_s = frames_per_s
        self._is_live = is_live
        self._cleanup = ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._size_wh = (0, 0)
        self._written = self._skipped = 0

    @classmethod
    def of(cls, source: Source, folder: Path, class_names: Sequence[str]) -> AnnotatedVideo:
        """Make the video of a source in `folder`."""
        if source.is_live:
            path = folder / time.strftime("%Y%m%dT%H%M%SZ.mkv", time.gmtime())
            return cls(path, class_names, LIVE_FRAMES_PER_S, is_live=True)
        return cls(folder / f"{Path(source.name).stem}.mp4", class_names, source.frames_per_s or FALLBACK_FRAMES_PER_S)

    def write(self, result: FrameResult) -> None:
        repeats = self._repeats(result.frame.time_s) if self._is_live else 1
        if repeats == 0:
            return
        check_room(self._folder)
        drawn = draw_detections(result.frame.image_rgb, result.detections, self._class_names, result.track_ids)
        size_wh = (drawn.shape[1], drawn.shape[0])
        if self._writer is None:
            # The encoder halves the chroma: no odd sides, and nothing smaller than a block.
            self._size_wh = (max(16, size_wh[0] + size_wh[0] % 2), max(16, size_wh[1] + size_wh[1] % 2))
            self._writer = self._open()
        if size_wh != self._size_wh:
            drawn = letterbox(drawn, (self._size_wh[1], self._size_wh[0]), 0).image
        drawn_bgr = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
        for _ in range(repeats):
            self._writer.write(drawn_bgr)

    def _repeats(self, time_s: float | None) -> int:
        """Number of times to write this frame so that the video plays in real time."""
        due = int((time_s or 0.0) * self._frames_per_s + 1e-6) + 1 - self._skipped
        repeats = max(0, due - self._written)
        longest = round(LONGEST_GAP_S * self._frames_per_s)
        if repeats > longest:
            self._skipped += repeats - longest
            repeats = longest
        self._written += repeats
        return repeats

    def _open(self) -> cv2.VideoWriter:
        path = self._path if self._is_live else self._cleanup.enter_context(atomic_path(self._path))
        codec, frames_per_s = cv2.VideoWriter.fourcc(*"mp4v"), writable_rate(self._frames_per_s)
        level = cv2.setLogLevel(_OPENCV_LOGS_NOTHING)
        try:
            writer = cv2.VideoWriter(utf8_name(path), cv2.CAP_FFMPEG, codec, frames_per_s, self._size_wh)
        finally:
            cv2.setLogLevel(level)
        if not writer.isOpened():
            asked = f"{self._size_wh[0]}x{self._size_wh[1]} pixels at {frames_per_s:g} frames per second"
            raise InputError(f"cannot write video {self._path}: OpenCV's MPEG-4 encoder is missing, or refuses {asked}")
        return writer

    def __exit__(self, *error: Any) -> None:
        if self._writer is not None:
            self._writer.release()
        self._cleanup.__exit__(*error)

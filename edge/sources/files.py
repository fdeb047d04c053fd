"""Frames from files, images and videos: read when they are asked for, so none is dropped."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tinydet.edge.errors import InputError
from tinydet.edge.files.images import read_image
from tinydet.edge.sources.frames import Frame, Source

# FFmpeg writes messages to the terminal beside the errors raised here. OpenCV reads this variable once, at the first
# video of the process; a value that the user set is kept.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts"})

_OPENCV_LOGS_ERRORS = 2

_MISCOUNT_FRAMES = 2
"""Tolerated difference from the container's number of frames, which is computed from duration and rate."""

_MISSES_THAT_END = 100
"""Undecodable frames in a row that count as the end; fewer are damage in the middle of a video."""

_logger = logging.getLogger(__name__)

OnUnreadable = Callable[[InputError], None]
"""Called with the error of each image that cannot be read; the iteration goes on with the next."""


class ImageFiles(Source):
    """Still images in the given order."""

    def __init__(self, path: Path, files: list[Path], on_unreadable: OnUnreadable | None = None) -> None:
        self.path = path
        self.name = str(path)
        self.is_live = False
        self.frame_count = len(files)
        self.frames_per_s = None
        self._files = files
        self._on_unreadable = on_unreadable

    def __iter__(self) -> Iterator[Frame]:
        for index, file in enumerate(self._files):
            try:
                image_rgb = read_image(file)
            except InputError as error:
                if self._on_unreadable is None:
                    raise
                self._on_unreadable(error)
                continue
            yield Frame(index=index, name=file.name, image_rgb=image_rgb, time_s=None)


class VideoFile(Source):
    """A video that OpenCV's FFmpeg can decode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.is_live = False
        capture = self._open()
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 else None
        self.frames_per_s = float(capture.get(cv2.CAP_PROP_FPS)) or None
        capture.release()

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            index = read = missed = lost = 0
            while missed < _MISSES_THAT_END:
                decoded, image_bgr = capture.read()
                if not decoded:
                    missed += 1
                    continue
                index, lost, missed = index + missed, lost + missed, 0
                image_rgb = np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=image_bgr), np.uint8)
                time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
                yield Frame(index=index, name=f"{self.path.stem}-{index:06d}", image_rgb=image_rgb, time_s=time_s)
                index += 1
                read += 1
        finally:
            capture.release()
        if read == 0:
            raise InputError(f"cannot read video {self.path}: it holds no frame that can be decoded")
        expected = max(self.frame_count or 0, read + lost)
        if lost or read < expected - _MISCOUNT_FRAMES:
            _logger.warning("video %s: damaged or cut short, %d of %d frames read", self.path, read, expected)

    def _open(self) -> cv2.VideoCapture:
        level = cv2.setLogLevel(_OPENCV_LOGS_ERRORS)
        try:
            capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        finally:
            cv2.setLogLevel(level)
        if not capture.isOpened():
            raise InputError(f"cannot read video {self.path}: not a video, damaged, or cut short")
        return capture

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
from tinydet.edge.files.numbers import LARGEST_WHOLE
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import open_file, utf8_name
from tinydet.edge.sources.frames import Frame, Source
from tinydet.edge.sources.video_times import FrameTimes, plausible_rate

# FFmpeg writes messages to the terminal beside the errors raised here. OpenCV reads this variable once, at the first
# video of the process; a value that the user set is kept.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_OPENCV_LOGS_NOTHING = 0
_HEAD_BYTES = 1 << 16

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
    """A video that OpenCV's FFmpeg can decode, in any container; frames are upright (display matrix)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.is_live = False
        capture = self._open()
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count = int(count) if 0 < count < LARGEST_WHOLE else None
        self.frames_per_s = plausible_rate(capture.get(cv2.CAP_PROP_FPS))
        capture.release()

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        times = FrameTimes(self.frames_per_s, self.frame_count)
        try:
            index = read = missed = lost = 0
            while missed < _MISSES_THAT_END:
                decoded, image_bgr = capture.read()
                if not decoded:
                    missed += 1
                    continue
                index, lost, missed = index + missed, lost + missed, 0
                image_rgb = np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=image_bgr), np.uint8)
                time_s = times.time_s(index, capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
                yield Frame(index=index, name=f"{self.path.stem}-{index:06d}", image_rgb=image_rgb, time_s=time_s)
                index += 1
                read += 1
        finally:
            capture.release()
        if read == 0:
            raise InputError(f"cannot read video {printable(self.path)}: it holds no frame that can be decoded")
        expected = max(self.frame_count or 0, read + lost)
        if lost or read < expected - _MISCOUNT_FRAMES:
            _logger.warning("video %s: damaged or cut short, %d of %d frames read", self.path, read, expected)

    def _open(self) -> cv2.VideoCapture:
        with open_file(self.path, what="video", limit_bytes=LARGEST_WHOLE) as file:
            is_text = b"\0" not in file.read(_HEAD_BYTES)
        if is_text:  # FFmpeg draws text as pictures, and follows playlists to other files
            raise InputError(f"cannot read video {printable(self.path)}: not a video, but text")
        level = cv2.setLogLevel(_OPENCV_LOGS_NOTHING)
        try:
            capture = cv2.VideoCapture(utf8_name(self.path), cv2.CAP_FFMPEG)
        finally:
            cv2.setLogLevel(level)
        if not capture.isOpened():
            raise InputError(f"cannot read video {printable(self.path)}: not a video, damaged, or cut short")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        return capture

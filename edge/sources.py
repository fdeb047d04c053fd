"""Where frames come from: an image file, a folder of them, a video file."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import InputError
from edge.images import IMAGE_SUFFIXES, read_image

# FFmpeg writes its own complaints to the terminal, beside the errors raised here. OpenCV reads this once, at the first
# video of the process; who sets the variable keeps what was set.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts"})

_OPENCV_LOGS_ERRORS = 2

_MISCOUNT_FRAMES = 2
"""Containers tell how many frames they hold by duration and rate; a frame or two of difference mean nothing."""

_logger = logging.getLogger(__name__)

OnUnreadable = Callable[[InputError], None]
"""Told of a frame that cannot be read, so that the rest goes on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One image of a source."""

    index: int
    """Position in the source, from 0; frames that could not be read count."""
    name: str
    """File name of the image; of a video its name and the frame's number."""
    image_rgb: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    time_s: float | None
    """Since the start of the video; None for still images."""


class Source(ABC):
    """Yields frames in order; can be iterated again."""

    path: Path
    frame_count: int | None
    """How many frames there are; None where only reading them all would tell."""
    frames_per_s: float | None
    """None for still images."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...


class ImageFiles(Source):
    """Still images, in the order given."""

    def __init__(self, path: Path, files: list[Path], on_unreadable: OnUnreadable | None = None) -> None:
        self.path = path
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
        capture = self._open()
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 else None
        self.frames_per_s = float(capture.get(cv2.CAP_PROP_FPS)) or None
        capture.release()

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            index = 0
            while True:
                decoded, image_bgr = capture.read()
                if not decoded:
                    break
                image_rgb = np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=image_bgr), np.uint8)
                time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
                yield Frame(index=index, name=f"{self.path.stem}-{index:06d}", image_rgb=image_rgb, time_s=time_s)
                index += 1
        finally:
            capture.release()
        if index == 0:
            raise InputError(f"cannot read video {self.path}: it holds no frame that can be decoded")
        if self.frame_count is not None and index < self.frame_count - _MISCOUNT_FRAMES:
            _logger.warning("video %s ended after %d of %d frames", self.path, index, self.frame_count)

    def _open(self) -> cv2.VideoCapture:
        level = cv2.setLogLevel(_OPENCV_LOGS_ERRORS)
        try:
            capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        finally:
            cv2.setLogLevel(level)
        if not capture.isOpened():
            raise InputError(f"cannot read video {self.path}: not a video, damaged, or cut short")
        return capture


def open_source(path: Path | str, *, on_unreadable: OnUnreadable | None = None) -> Source:
    """Open an image file, a folder of images (in the order of their names) or a video file.

    Args:
        path: which one.
        on_unreadable: called for an image of a folder that cannot be read, which is then left out; None raises instead.

    Raises:
        InputError: nothing is there, a folder holds no image, or a file is neither image nor video.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise InputError(f"folder {path} holds no image (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
        return ImageFiles(path, files, on_unreadable)
    if not path.exists():
        raise InputError(f"{path} does not exist: expected an image, a folder of images or a video")
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return ImageFiles(path, [path])
    if suffix in VIDEO_SUFFIXES:
        return VideoFile(path)
    raise InputError(f"cannot read {path}: expected an image, a folder of images or a video")

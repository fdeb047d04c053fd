"""Cameras (V4L2) and network streams (FFmpeg) through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import without_credentials
from tinydet.edge.files.regular_file import kind_of, utf8_name
from tinydet.edge.sources.live import STALL_S, Connection, ConnectionLostError
from tinydet.edge.sources.video_times import plausible_rate

TRIES = 10
"""Number of damaged packets in a row after which a stream counts as ended."""
_OPENCV_LOGS_NOTHING = 0

#: One decoding thread: with more, FFmpeg delays frames by as many as it has threads.
_STREAM_SETTINGS = {
    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: int(STALL_S * 1e3),
    cv2.CAP_PROP_READ_TIMEOUT_MSEC: int(STALL_S * 1e3),
    cv2.CAP_PROP_N_THREADS: 1,
}


class OpenCvConnection(Connection):
    """An open `cv2.VideoCapture`."""

    def __init__(self, name: str, target: str | int, backend: int, settings: Mapping[int, int]) -> None:
        if isinstance(target, str):
            target = utf8_name(target)
        level = cv2.setLogLevel(_OPENCV_LOGS_NOTHING)
        try:
            self._capture = cv2.VideoCapture(target, backend, [value for pair in settings.items() for value in pair])
        finally:
            cv2.setLogLevel(level)
        if not self._capture.isOpened():
            raise InputError(f"cannot open {name}: nothing answers there, or it is no video")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.frames_per_s = plausible_rate(self._capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> tuple[npt.NDArray[np.uint8], float]:
        """See `Connection.read`. V4L2's own time limit is 10 s."""
        start_s = time.monotonic()
        for _ in range(TRIES):
            grabbed = self._capture.grab()
            captured_s = time.monotonic()
            if grabbed or captured_s - start_s >= STALL_S:
                break
        # Even if a frame came: when FFmpeg's wait times out it returns frames that its decoder held back, old by then.
        if captured_s - start_s >= STALL_S:
            raise ConnectionLostError(f"no frame for {captured_s - start_s:.0f} s")
        if not grabbed:
            raise ConnectionLostError("the stream ended")
        decoded, image_bgr = self._capture.retrieve()
        if not decoded:
            raise ConnectionLostError("a frame cannot be decoded")
        return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=image_bgr), np.uint8), captured_s

    def close(self) -> None:
        self._capture.release()


def open_stream(uri: str) -> OpenCvConnection:
    """Open a stream through FFmpeg: rtsp (over TCP), http, https, udp."""
    return OpenCvConnection(without_credentials(uri), uri, cv2.CAP_FFMPEG, _STREAM_SETTINGS)


def open_camera(name: str, device: str, options: Mapping[str, int]) -> OpenCvConnection:
    """Open a V4L2 camera by index or path; options: width, height, fps.

    If a width is given, compressed images (MJPG) are requested: USB 2 is too slow for full HD otherwise.
    """
    properties = {"width": cv2.CAP_PROP_FRAME_WIDTH, "height": cv2.CAP_PROP_FRAME_HEIGHT, "fps": cv2.CAP_PROP_FPS}
    if not device.isdigit() and kind_of(device) not in ("device", None):
        raise InputError(f"cannot open {name}: {device} is a {kind_of(device)}, not a camera")
    settings = {properties[option]: value for option, value in options.items()}
    if "width" in options:
        settings = {cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG")} | settings
    return OpenCvConnection(name, int(device) if device.isdigit() else device, cv2.CAP_V4L2, settings)

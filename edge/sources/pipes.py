"""Frames through a pipe: from standard input, or from a GStreamer pipeline in a process of its own.

OpenCV's wheels are built without GStreamer, and boards come with GStreamer plugins for their cameras; a pipe connects
the two whatever either was built with. Frames are sent as binary PPM (`P6`), each with its own size, because a pipeline
may change its resolution while it runs.
"""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.sources.live import STALL_S, Connection, ConnectionLostError, StreamEndedError

PIPE_BYTES = 1 << 20
LARGEST_SIDE_PX = 1 << 15
LARGEST_FRAME_PX = 1 << 27
"""400 MB a frame; the largest aerial cameras have 150 million pixels."""
LARGEST_HEADER_BYTES = 4096
STANDARD_INPUT = 0
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ, which mypy does not know on every platform

_TO_STANDARD_OUTPUT = "videoconvert ! video/x-raw,format=RGB ! pnmenc ! fdsink fd=1 sync=false"

#: The camera's part of the pipeline, by a word in the device tree's model.
CSI_CAMERAS = {
    "nvidia": "nvarguscamerasrc sensor-id={camera} ! video/x-raw(memory:NVMM),width={width},height={height},"
    "framerate={fps}/1 ! nvvidconv ! video/x-raw,format=BGRx",
    "raspberry": "libcamerasrc ! video/x-raw,width={width},height={height},framerate={fps}/1",
}
CSI_DEFAULTS = {"width": 1280, "height": 720, "fps": 30}
DEVICE_TREE_MODEL = Path("/proc/device-tree/model")


class PipeConnection(Connection):
    """Frames from a file descriptor: raw RGB of a fixed size, or PPM."""

    def __init__(self, descriptor: int, size_wh: tuple[int, int] | None, frames_per_s: float | None = None) -> None:
        self.frames_per_s = frames_per_s
        self._descriptor = descriptor
        self._size_wh = size_wh

    def read(self) -> tuple[npt.NDArray[np.uint8], float]:
        if self._size_wh is None:
            width, height = self._read_header()
        else:
            width, height = self._size_wh
            self._wait()
        captured_s = time.monotonic()
        image_rgb = np.empty((height, width, 3), np.uint8)
        self._fill(image_rgb.reshape(-1).data, is_start=self._size_wh is not None)
        return image_rgb, captured_s

    def close(self) -> None:
        return None

    def _read_header(self) -> tuple[int, int]:
        """Read a PPM's header: `P6`, width, height and 255 between white space, comments up to the line's end."""
        words: list[bytes] = []
        word, comment, byte = b"", False, bytearray(1)
        for _ in range(LARGEST_HEADER_BYTES):
            if len(words) == 4:
                break
            self._fill(memoryview(byte), is_start=not (words or word))
            character = bytes(byte)
            if comment:
                comment = character != b"\n"
            elif character == b"#":
                comment = True
            elif not character.isspace():
                word += character
            elif word:
                words.append(word)
                word = b""
            if len(word) > 8:
                break
        sides = [int(side) for side in words[1:3] if side.isdigit()]
        if len(words) < 4 or words[0] != b"P6" or words[3] != b"255" or len(sides) != 2:
            raise ConnectionLostError("the input is not binary PPM (P6, 8 bits)")
        if not is_frame_size(*sides):
            raise ConnectionLostError(f"a frame of {sides[0]}x{sides[1]} pixels: expected at most {LARGEST_FRAME_PX}")
        return sides[0], sides[1]

    def _fill(self, view: memoryview, *, is_start: bool = False) -> None:
        whole = len(view)
        while view:
            self._wait()
            count = os.readv(self._descriptor, [view])
            if count == 0 and is_start and len(view) == whole:
                raise StreamEndedError("the stream ended")
            if count == 0:
                raise ConnectionLostError("the stream ended in the middle of a frame")
            view = view[count:]

    def _wait(self) -> None:
        if not select.select([self._descriptor], [], [], STALL_S)[0]:
            raise ConnectionLostError(f"no frame for {STALL_S:.0f} s")


class GStreamerConnection(PipeConnection):
    """A pipeline for `gst-launch-1.0`, without its sink."""

    def __init__(self, pipeline: str) -> None:
        program = shutil.which("gst-launch-1.0")
        if program is None:
            raise InputError("GStreamer sources need gst-launch-1.0: apt install gstreamer1.0-tools")
        try:
            words = shlex.split(f"{pipeline} ! {_TO_STANDARD_OUTPUT}")
        except ValueError as error:
            raise InputError(f"GStreamer pipeline {pipeline!r}: {error}") from error
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process that writes to it
        try:
            self._process = subprocess.Popen(
                [program, "-q", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._messages,
                start_new_session=True,  # Ctrl-C goes to us alone; `close` stops the pipeline
            )
        except OSError as error:  # for example a pipeline longer than the system allows
            raise InputError(f"cannot start gst-launch-1.0: {error.strerror}") from error
        assert self._process.stdout is not None
        fcntl.fcntl(self._process.stdout, _F_SETPIPE_SZ, PIPE_BYTES)
        super().__init__(self._process.stdout.fileno(), None)
        self._got_frame = False

    def read(self) -> tuple[npt.NDArray[np.uint8], float]:
        try:
            image_rgb, captured_s = super().read()
        except ConnectionLostError as error:
            raise ConnectionLostError(f"{error}{self._reason()}") from error
        return image_rgb, captured_s

    def close(self) -> None:
        self._process.terminate()
        assert self._process.stdout is not None
        self._process.stdout.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._messages.close()

    def _reason(self) -> str:
        """GStreamer's first line that reports an error."""
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line or "erroneous" in line]
        return f" ({errors[0].strip()})" if errors else ""


def is_frame_size(width: int, height: int) -> bool:
    """Whether a frame can have this size: both sides and their product are bounded."""
    return all(0 < side <= LARGEST_SIDE_PX for side in (width, height)) and width * height <= LARGEST_FRAME_PX


def csi_pipeline(camera: str, options: Mapping[str, int]) -> str:
    """The pipeline of a CSI camera on this board. Raises `InputError` on a machine that is neither Jetson nor Pi."""
    try:
        model = DEVICE_TREE_MODEL.read_text(errors="replace").rstrip("\0")
    except OSError:
        model = "this machine"
    for word, pipeline in CSI_CAMERAS.items():
        if word in model.lower():
            return pipeline.format(camera=camera, **(CSI_DEFAULTS | dict(options)))
    raise InputError(f"csi: {model} is neither a Jetson nor a Raspberry Pi: name the camera's pipeline with gst:")

"""Open a source of frames by its path or URI: files, cameras, streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

from tinydet.edge.errors import InputError
from tinydet.edge.files.images import IMAGE_SUFFIXES
from tinydet.edge.sources.files import VIDEO_SUFFIXES, ImageFiles, OnUnreadable, VideoFile
from tinydet.edge.sources.frames import Frame, Source
from tinydet.edge.sources.live import LiveSource
from tinydet.edge.sources.opencv_capture import open_camera, open_stream
from tinydet.edge.sources.pipes import GStreamerConnection, csi_pipeline, open_standard_input

__all__ = ["SCHEMES", "Frame", "LiveSource", "Source", "open_source"]

CAMERA_OPTIONS = ("width", "height", "fps")


def _camera(uri: str, rest: str) -> LiveSource:
    device, options = _split_options(uri, rest)
    if not device:
        raise InputError(f"source {uri}: expected a camera's index or path, as in v4l2://0 or v4l2:///dev/video0")
    return LiveSource(uri, lambda: open_camera(uri, device, options))


def _csi(uri: str, rest: str) -> LiveSource:
    camera, options = _split_options(uri, rest)
    if not camera.isdigit():
        raise InputError(f"source {uri}: expected a camera's number, as in csi://0")
    pipeline = csi_pipeline(camera, options)
    return LiveSource(uri, lambda: GStreamerConnection(pipeline))


def _stream(uri: str, rest: str) -> LiveSource:
    if not rest:
        raise InputError(f"source {uri}: the address is missing")
    return LiveSource(uri, lambda: open_stream(uri))


def _gstreamer(uri: str, rest: str) -> LiveSource:
    if not rest.strip():
        raise InputError(f"source {uri}: the pipeline is missing, as in 'gst:videotestsrc is-live=true'")
    return LiveSource(uri, lambda: GStreamerConnection(rest))


def _standard_input(uri: str, rest: str) -> LiveSource:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})(?:@(\d+(?:\.\d+)?))?", rest)
    if match is None:
        raise InputError(f"source {uri}: expected stdin://WIDTHxHEIGHT@FPS, as in stdin://1280x720@30")
    size_wh, frames_per_s = (int(match[1]), int(match[2])), float(match[3]) if match[3] else None
    return LiveSource(uri, lambda: open_standard_input(size_wh, frames_per_s), can_reopen=False)


class Scheme(NamedTuple):
    """A kind of live source: an example of its URI, and the function that opens it."""

    example: str
    open: Callable[[str, str], LiveSource]
    """Takes the whole URI, and the part after `scheme:` or `scheme://`."""


SCHEMES: Mapping[str, Scheme] = {
    "v4l2": Scheme("v4l2://0", _camera),  # or a path; options ?width=1280&height=720&fps=30
    "csi": Scheme("csi://0", _csi),  # camera on the ribbon cable of a Jetson or Raspberry Pi; options as v4l2
    "rtsp": Scheme("rtsp://host:8554/live", _stream),
    "http": Scheme("http://host/stream", _stream),
    "https": Scheme("https://host/stream", _stream),
    "udp": Scheme("udp://0.0.0.0:5000", _stream),  # MPEG transport stream
    "gst": Scheme("gst:PIPELINE", _gstreamer),  # any GStreamer pipeline, without its sink
    "stdin": Scheme("stdin://1280x720@30", _standard_input),  # raw RGB
}


def open_source(name: Path | str, *, on_unreadable: OnUnreadable | None = None) -> Source:
    """Open a source of frames.

    Args:
        name: an image file, a folder of images (in the order of their names), a video file (or its file:// URI), a
            camera (/dev/video0), a URI of `SCHEMES`, or `-` for PPM frames on standard input.
        on_unreadable: called for an image of a folder that cannot be read, which is then skipped; None raises instead.

    Raises:
        InputError: the path does not exist, a folder holds no image, a file is neither image nor video, the scheme is
            unknown, or a live source cannot be opened.
    """
    text = str(name)
    if text == "-":
        return LiveSource("stdin", lambda: open_standard_input(None, None), can_reopen=False)
    scheme, colon, rest = text.partition(":")
    if isinstance(name, str) and colon and not Path(text).exists():
        if scheme == "file":
            return _open_files(Path(rest.removeprefix("//")), on_unreadable)
        if scheme in SCHEMES:
            return SCHEMES[scheme].open(text, rest if scheme == "gst" else rest.removeprefix("//"))
        if rest.startswith("//"):
            known = ", ".join(["file://PATH", *(row.example for row in SCHEMES.values())])
            raise InputError(f"source {text}: unknown scheme {scheme}: expected a path, - or one of {known}")
    if text.startswith("/dev/video"):
        return _camera(text, text)
    return _open_files(Path(text), on_unreadable)


def _open_files(path: Path, on_unreadable: OnUnreadable | None) -> Source:
    if path.is_dir():
        images = (file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        files = sorted(file for file in images if not file.name.startswith("."))  # as `._a.jpg`, which macOS leaves
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


def _split_options(uri: str, rest: str) -> tuple[str, dict[str, int]]:
    """Split `0?width=1280&height=720` into the device and its options."""
    device, _, query = rest.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    for option, value in options:
        if option not in CAMERA_OPTIONS or not value.isdigit() or int(value) == 0:
            raise InputError(f"source {uri}: {option}={value}: expected {', '.join(CAMERA_OPTIONS)} as whole numbers")
    return device, {option: int(value) for option, value in options}

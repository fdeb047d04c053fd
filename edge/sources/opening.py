"""Open a source of frames by its path or URI: files, cameras, streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tinydet.edge.errors import InputError
from tinydet.edge.files.images import IMAGE_SUFFIXES
from tinydet.edge.files.numbers import whole
from tinydet.edge.files.printable import is_printable, printable, without_credentials
from tinydet.edge.files.regular_file import can_be_path, kind_of
from tinydet.edge.sources.files import ImageFiles, OnUnreadable, VideoFile
from tinydet.edge.sources.frames import Frame, Source
from tinydet.edge.sources.live import LiveSource
from tinydet.edge.sources.opencv_capture import open_camera, open_stream
from tinydet.edge.sources.pipes import (
    LARGEST_FRAME_PX,
    LARGEST_SIDE_PX,
    STANDARD_INPUT,
    GStreamerConnection,
    PipeConnection,
    csi_pipeline,
    is_frame_size,
)
from tinydet.edge.sources.video_times import HIGHEST_FRAMES_PER_S, plausible_rate

__all__ = ["SCHEMES", "Frame", "LiveSource", "Source", "open_source"]

EXPECTED = "expected an image, a folder of images or a video"

#: Option of a camera -> its largest value.
CAMERA_OPTIONS = {"width": LARGEST_SIDE_PX, "height": LARGEST_SIDE_PX, "fps": int(HIGHEST_FRAMES_PER_S)}


def _camera(uri: str, rest: str) -> LiveSource:
    device, options = _split_options(uri, rest)
    if not re.fullmatch(r"[0-9]{1,3}|/.+", device):
        raise InputError(
            f"source {_shown(uri)}: expected a camera's index or path, as in v4l2://0 or v4l2:///dev/video0"
        )
    return LiveSource(uri, lambda: open_camera(uri, device, options))


def _csi(uri: str, rest: str) -> LiveSource:
    camera, options = _split_options(uri, rest)
    if not re.fullmatch(r"[0-9]{1,3}", camera):
        raise InputError(f"source {_shown(uri)}: expected a camera's number, as in csi://0")
    pipeline = csi_pipeline(camera, options)
    return LiveSource(uri, lambda: GStreamerConnection(pipeline))


def _stream(uri: str, rest: str) -> LiveSource:
    if not rest:
        raise InputError(f"source {_shown(uri)}: the address is missing")
    try:
        address = urlsplit(uri)
        host = (address.hostname or "").encode("idna")
        is_complete = bool(host) or (address.scheme == "udp" and address.port is not None)
    except ValueError:
        # A port that is no number or above 65535, broken brackets, a part of the host over 63 characters.
        is_complete = False
    if not is_complete or not is_printable(uri):
        raise InputError(f"source {_shown(uri)}: expected an address as in {SCHEMES[uri.partition(':')[0]].example}")
    return LiveSource(uri, lambda: open_stream(uri))


def _gstreamer(uri: str, rest: str) -> LiveSource:
    if not rest.strip():
        raise InputError(f"source {_shown(uri)}: the pipeline is missing, as in 'gst:videotestsrc is-live=true'")
    return LiveSource(uri, lambda: GStreamerConnection(rest))


def _standard_input(uri: str, rest: str) -> LiveSource:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})(?:@([0-9]{1,4}(?:\.[0-9]{1,9})?))?", rest)
    if match is None:
        raise InputError(f"source {_shown(uri)}: expected stdin://WIDTHxHEIGHT@FPS, as in stdin://1280x720@30")
    size_wh = int(match[1]), int(match[2])
    frames_per_s = None if match[3] is None else plausible_rate(float(match[3]))
    if not is_frame_size(*size_wh):
        limits = f"sides of 1 to {LARGEST_SIDE_PX} and at most {LARGEST_FRAME_PX} pixels"
        raise InputError(f"source {_shown(uri)}: expected {limits}")
    if match[3] is not None and frames_per_s is None:
        raise InputError(f"source {_shown(uri)}: expected a frame rate above 0, up to {HIGHEST_FRAMES_PER_S:.0f}")
    return LiveSource(uri, lambda: PipeConnection(STANDARD_INPUT, size_wh, frames_per_s), can_reopen=False)


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
        InputError: the path does not exist, a folder holds no image, a file is neither image nor video, or is a pipe, a
            socket or a device, the scheme is unknown, or a live source cannot be opened.
    """
    text = str(name)
    if not can_be_path(text):
        raise InputError(f"source {_shown(text)}: no file or address can have this name")
    if text == "-":
        return LiveSource("stdin", lambda: PipeConnection(STANDARD_INPUT, None), can_reopen=False)
    scheme, colon, rest = text.partition(":")
    if isinstance(name, str) and colon and kind_of(text) is None:
        if scheme == "file":
            if not rest.removeprefix("//"):
                raise InputError(f"source {_shown(text)}: expected a path, as in file:///data/flight.mp4")
            return _open_files(Path(rest.removeprefix("//")), on_unreadable)
        if scheme in SCHEMES:
            return SCHEMES[scheme].open(text, rest if scheme == "gst" else rest.removeprefix("//"))
        if rest.startswith("//"):
            known = ", ".join(["file://PATH", *(row.example for row in SCHEMES.values())])
            raise InputError(f"source {_shown(text)}: unknown scheme {scheme}: expected a path, - or one of {known}")
    if text.startswith("/dev/video"):
        return _camera(text, text)
    return _open_files(Path(text), on_unreadable)


def _open_files(path: Path, on_unreadable: OnUnreadable | None) -> Source:
    kind = kind_of(path)
    if kind is None:
        raise InputError(f"{_shown(path)} does not exist: {_instead_of(path)}")
    if kind == "folder":
        return ImageFiles(path, _images_in(path), on_unreadable)
    if kind == "named pipe":
        raise InputError(
            f"{_shown(path)} is a named pipe: for frames from it, redirect it to standard input (- or stdin://)"
        )
    if kind != "file":
        raise InputError(f"{_shown(path)} is a {kind}: {EXPECTED}, or a camera as in v4l2:///dev/video0")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFiles(path, [path])
    return VideoFile(path)


def _images_in(folder: Path) -> list[Path]:
    try:
        images = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise InputError(f"cannot read folder {_shown(folder)}: {error.strerror}") from error
    files = sorted(file for file in images if not file.name.startswith("."))  # as `._a.jpg`, which macOS leaves
    if not files:
        raise InputError(f"folder {_shown(folder)} holds no image (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def _instead_of(path: Path) -> str:
    """Suggest our name for a source that other programs name so."""
    name = str(path)
    if re.fullmatch(r"[0-9]{1,3}", name):
        return f"the camera /dev/video{name} is v4l2://{name}"
    if re.search(r"[*?\[]|%[0-9]*d", path.name):
        return f"{EXPECTED}; patterns are not expanded: name the folder {_shown(path.parent)}"
    return EXPECTED


def _shown(name: object) -> str:
    return printable(without_credentials(str(name)))


def _split_options(uri: str, rest: str) -> tuple[str, dict[str, int]]:
    """Split `0?width=1280&height=720` into the device and its options."""
    device, _, query = rest.partition("?")
    options = {}
    for option, value in parse_qsl(query, keep_blank_values=True):
        if option not in CAMERA_OPTIONS:
            known = ", ".join(CAMERA_OPTIONS)
            raise InputError(f"source {_shown(uri)}: unknown option {printable(option)}: expected {known}")
        options[option] = whole(value, f"source {_shown(uri)}: {option}", 1, CAMERA_OPTIONS[option])
    return device, options

"""`JsonLines`: one JSON object per frame."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import without_credentials
from tinydet.edge.files.regular_file import kind_of
from tinydet.edge.files.writing import atomic_path, writable_folder
from tinydet.edge.sinks.sink import Sink, detection_objects
from tinydet.edge.sources.frames import Source
from tinydet.edge.stream.frame_result import FrameResult

_TAIL_BYTES = 1 << 16
_LONGEST_LINE_BYTES = 16 << 20
_RECORD_START = b'{"frame"'

Locate = Callable[[FrameResult], Sequence[tuple[float, float] | None]]
"""Gives latitude and longitude in degrees of each detection, None where unknown."""


class JsonLines(Sink):
    """Writes one JSON object per frame: frame, name, source, time_s, image_wh, latency_ms, detections.

    For a live source also unix_time_s (when the frame arrived), age_ms and dropped; its file is written line by line,
    so that it survives a crash, and a second flight is appended to the first: half a record at its end, left by a full
    disk or a power cut, is removed. With `locate`, detections get
    latitude_deg and longitude_deg.
    """

    def __init__(self, path: Path, class_names: Sequence[str], source: Source, locate: Locate | None = None) -> None:
        self.name = str(path)
        self._folder = writable_folder(path.parent)
        self._path = path
        self._class_names = class_names
        self._source = source
        self._source_name = without_credentials(source.name)
        self._locate = locate
        self._cleanup = ExitStack()
        self._file: IO[str] | None = None

    def __enter__(self) -> JsonLines:
        if self._source.is_live:
            kind = kind_of(self._path)
            if kind not in ("file", "device", None):  # a pipe without a reader would hold up the flight
                raise InputError(f"cannot write {self._path}: expected a file, got a {kind}")
            try:
                if kind == "file":
                    _end_torn_line(self._path)
                file = self._path.open("a", encoding="utf-8", buffering=1)  # 1: a line is written when it ends
            except OSError as error:
                raise InputError(f"cannot write {self._path} ({error.strerror})") from error
        else:
            with ExitStack() as opened:
                file = opened.enter_context(atomic_path(self._path)).open("w", encoding="utf-8")
                self._cleanup = opened.pop_all()
        self._file = self._cleanup.enter_context(file)
        return self

    def write(self, result: FrameResult) -> None:
        assert self._file is not None, "a sink is used within its with block"
        frame, times = result.frame, result.times
        record = {
            "frame": frame.index,
            "name": frame.name,
            "source": self._source_name,
            "time_s": frame.time_s,
            "image_wh": [frame.image_rgb.shape[1], frame.image_rgb.shape[0]],
            "latency_ms": {
                stage: round(getattr(times, f"{stage}_ms"), 3) for stage in ("pre", "infer", "post", "total")
            },
            "detections": detection_objects(
                result.detections,
                self._class_names,
                None if result.track_ids is None else result.track_ids.tolist(),
                None if self._locate is None else self._locate(result),
            ),
        }
        if frame.captured_s is not None and result.age_ms is not None:
            record["unix_time_s"] = round(time.time() - (time.monotonic() - frame.captured_s), 3)
            record["age_ms"] = round(result.age_ms, 3)
            record["dropped"] = result.dropped
        self._file.write(json.dumps(record, allow_nan=False) + "\n")

    def __exit__(self, *error: Any) -> None:
        self._cleanup.__exit__(*error)


def _end_torn_line(path: Path) -> None:
    """End the last line of a file: half a record of ours is removed, anything else gets the line break it lacks."""
    with path.open("r+b") as file:
        end = start = file.seek(0, os.SEEK_END)
        tail = b""
        while start > 0 and b"\n" not in tail and len(tail) < _LONGEST_LINE_BYTES:
            start = max(0, start - _TAIL_BYTES)
            file.seek(start)
            tail = file.read(end - start)
        line = tail.rpartition(b"\n")[2]
        kept = line.rstrip(b"\0")  # file systems fill with zeros what a power cut kept from being written
        if not line:
            return
        is_half_a_record = kept.startswith(_RECORD_START) or _RECORD_START.startswith(kept)
        if is_half_a_record and not _is_json(kept):
            kept = b""
        file.truncate(end - len(line) + len(kept))
        file.seek(0, os.SEEK_END)
        file.write(b"\n" if kept else b"")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True

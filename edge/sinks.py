"""Where detections go: annotated pictures, an annotated video, JSON lines, COCO JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import cv2

from edge.detections import Detections
from edge.detector import StageTimes
from edge.drawing import draw_detections
from edge.errors import InputError
from edge.files import atomic_path, writable_folder, write_json
from edge.images import IMAGE_SUFFIXES, write_image
from edge.sources import Frame


class Sink(ABC):
    """A context manager that takes frames. A file is complete when the block ends well and absent when it does not."""

    path: Path
    """The file or folder that is written."""

    def __enter__(self) -> Sink:
        return self

    @abstractmethod
    def write(self, frame: Frame, detections: Detections, times: StageTimes) -> None:
        """Take one frame."""

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        return None


class AnnotatedImages(Sink):
    """Every frame as a picture with its detections drawn, under its own name."""

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self.path = writable_folder(folder)
        self._class_names = class_names

    def write(self, frame: Frame, detections: Detections, times: StageTimes) -> None:
        """See `Sink.write`."""
        has_suffix = Path(frame.name).suffix.lower() in IMAGE_SUFFIXES
        target = self.path / (frame.name if has_suffix else f"{frame.name}.jpg")
        write_image(target, draw_detections(frame.image_rgb, detections, self._class_names))


class AnnotatedVideo(Sink):
    """All frames as an MP4 with their detections drawn."""

    def __init__(self, path: Path, class_names: Sequence[str], frames_per_s: float) -> None:
        writable_folder(path.parent)
        self.path = path
        self._class_names = class_names
        self._frames_per_s = frames_per_s
        self._cleanup = ExitStack()
        self._partial: Path | None = None
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: Frame, detections: Detections, times: StageTimes) -> None:
        """See `Sink.write`."""
        drawn = draw_detections(frame.image_rgb, detections, self._class_names)
        if self._writer is None:
            self._partial = self._cleanup.enter_context(atomic_path(self.path))
            size_wh = (drawn.shape[1], drawn.shape[0])
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, codec, self._frames_per_s, size_wh)
            if not self._writer.isOpened():
                raise InputError(f"cannot write video {self.path}: OpenCV has no MP4 encoder here")
        self._writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self._writer is not None:
            self._writer.release()
        self._cleanup.__exit__(error_type, error, trace)


class JsonLines(Sink):
    """One JSON object a frame: frame, name, source, time_s, image_wh, latency_ms, detections."""

    def __init__(self, path: Path, class_names: Sequence[str], source: Path) -> None:
        writable_folder(path.parent)
        self.path = path
        self._class_names = class_names
        self._source = str(source)
        self._cleanup = ExitStack()
        self._file: IO[str] | None = None

    def __enter__(self) -> JsonLines:
        partial = self._cleanup.enter_context(atomic_path(self.path))
        self._file = self._cleanup.enter_context(partial.open("w", encoding="utf-8"))
        return self

    def write(self, frame: Frame, detections: Detections, times: StageTimes) -> None:
        """See `Sink.write`."""
        assert self._file is not None, "a sink is used within its with block"
        record = {
            "frame": frame.index,
            "name": frame.name,
            "source": self._source,
            "time_s": frame.time_s,
            "image_wh": [frame.image_rgb.shape[1], frame.image_rgb.shape[0]],
            "latency_ms": {
                stage: round(getattr(times, f"{stage}_ms"), 3) for stage in ("pre", "infer", "post", "total")
            },
            "detections": detection_objects(detections, self._class_names),
        }
        self._file.write(json.dumps(record, allow_nan=False) + "\n")

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._cleanup.__exit__(error_type, error, trace)


class CocoJson(Sink):
    """One COCO JSON file with images, categories and scored annotations: what labelling tools import as proposals."""

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        writable_folder(path.parent)
        self.path = path
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories = [{"id": index, "name": name} for index, name in enumerate(class_names, 1)]

    def write(self, frame: Frame, detections: Detections, times: StageTimes) -> None:
        """See `Sink.write`."""
        height, width = frame.image_rgb.shape[:2]
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "file_name": frame.name, "width": width, "height": height})
        for box, score, class_id in _rows(detections):
            left, top, right, bottom = box
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": class_id + 1,
                    "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                    "area": round((right - left) * (bottom - top), 2),
                    "score": score,
                    "iscrowd": 0,
                }
            )

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error_type is None:
            content = {"images": self._images, "categories": self._categories, "annotations": self._annotations}
            write_json(self.path, content)


def detection_objects(detections: Detections, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Detections as JSON objects: class, score, box_xyxy_px."""
    return [
        {"class": class_names[class_id], "score": score, "box_xyxy_px": box}
        for box, score, class_id in _rows(detections)
    ]


def _rows(detections: Detections) -> list[tuple[list[float], float, int]]:
    """(box, score, class id), rounded to a hundredth of a pixel and four digits of score."""
    boxes = detections.boxes_xyxy_px.astype(float).round(2).tolist()
    scores = detections.scores.astype(float).round(4).tolist()
    return list(zip(boxes, scores, detections.class_ids.tolist(), strict=True))

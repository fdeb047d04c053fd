"""`Sink`, the base class of outputs, and detections as JSON objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from tinydet.edge.detections import Detections
from tinydet.edge.stream.frame_result import FrameResult


class Sink(ABC):
    """Takes the results of a stream, all in one thread; a context manager.

    Its file is complete when the block ends without error, and absent otherwise. The file of a live source is written
    as frames come, and is kept.
    """

    name: str
    """File, folder or address that is written to."""
    leaves_files = True
    """Whether files remain when it ends."""

    def __enter__(self) -> Sink:
        return self

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Write one frame's result. All sinks share its arrays and must not change them."""

    def __exit__(self, error_type: Any, error: Any, trace: Any) -> None:
        return None


def detection_objects(
    detections: Detections,
    class_names: Sequence[str],
    track_ids: Sequence[int] | None = None,
    positions: Sequence[tuple[float, float] | None] | None = None,
) -> list[dict[str, Any]]:
    """Turn detections into JSON objects: class, score, box_xyxy_px, and with a tracker track (null for none yet).

    positions: latitude and longitude of each detection, as latitude_deg and longitude_deg (null where unknown).
    """
    objects: list[dict[str, Any]] = [
        {"class": class_names[class_id], "score": score, "box_xyxy_px": box}
        for box, score, class_id in rows(detections)
    ]
    if track_ids is not None:
        for found, track_id in zip(objects, track_ids, strict=True):
            found["track"] = int(track_id) if track_id >= 0 else None
    if positions is not None:
        for found, position in zip(objects, positions, strict=True):
            found["latitude_deg"], found["longitude_deg"] = position or (None, None)
    return objects


def rows(detections: Detections) -> list[tuple[list[float], float, int]]:
    """List (box, score, class id) of each detection, rounded to a hundredth of a pixel and four digits of score."""
    boxes = detections.boxes_xyxy_px.astype(float).round(2).tolist()
    scores = detections.scores.astype(float).round(4).tolist()
    return list(zip(boxes, scores, detections.class_ids.tolist(), strict=True))

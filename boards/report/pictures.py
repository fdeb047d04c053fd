"""The frames with a detector's best and worst F1, with its detections and the objects it missed."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.boxes import iou
from tinydet.edge.datasets.dataset import Dataset, ImageRecord, read_record
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.detections import Detections
from tinydet.edge.sinks.drawing import draw_detections
from tinydet.edge.tracking.assignment import assign

BEST_AND_WORST = 2
MIN_IOU = 0.5
WIDTH_PX = 960
QUALITY = 80

_MISSED_RGB = (255, 40, 40)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A frame with detections drawn in."""

    title: str
    caption: str
    jpeg_base64: str


def best_and_worst(dataset: Dataset, found: Sequence[Detections], score_threshold: float) -> list[Picture]:
    """Two frames each of the highest and the lowest F1 at IoU 0.5, of detections with `score_threshold` or more.

    `found` is in the order of the data set's images, with its class ids. Frames without objects are left out.
    """
    kept = [detections.select(detections.scores >= score_threshold) for detections in found]
    scored = sorted(
        (
            (_match(record, detections), index)
            for index, (record, detections) in enumerate(zip(dataset.images, kept, strict=True))
            if not record.is_crowd.all()
        ),
        key=lambda item: (-item[0].f1, item[1]),
    )
    count = min(BEST_AND_WORST, len(scored) // 2)
    chosen = [("best", *item) for item in scored[:count]] + [("worst", *item) for item in scored[-1 : -count - 1 : -1]]
    return [_picture(kind, match, dataset, index, kept[index]) for kind, match, index in chosen]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Match:
    hits: int
    false_alarms: int
    missed_xyxy_px: npt.NDArray[np.float32]

    @property
    def f1(self) -> float:
        return 2 * self.hits / max(1, 2 * self.hits + self.false_alarms + len(self.missed_xyxy_px))


def _match(record: ImageRecord, found: Detections) -> _Match:
    """One to one, by IoU, within a class. Crowds and ignored regions are neither right nor wrong."""
    marked = ~record.is_crowd
    boxes, class_ids = record.boxes_xyxy_px[marked], record.class_ids[marked]
    overlap = iou(boxes[:, np.newaxis], found.boxes_xyxy_px) * (class_ids[:, np.newaxis] == found.class_ids)
    rows, columns = assign(overlap.astype(np.float64), minimum=MIN_IOU)
    missed = np.ones(len(boxes), bool)
    missed[rows] = False
    wrong = np.ones(len(found), bool)
    wrong[columns] = False
    for regions in (record.ignored_xyxy_px, record.boxes_xyxy_px[record.is_crowd]):
        wrong &= ~mostly_inside(found.boxes_xyxy_px, regions, width=record.width, height=record.height)
    return _Match(hits=len(rows), false_alarms=int(wrong.sum()), missed_xyxy_px=boxes[missed])


def _picture(kind: str, match: _Match, dataset: Dataset, index: int, found: Detections) -> Picture:
    record = dataset.images[index]
    drawn = draw_detections(read_record(record), found, dataset.class_names)
    for left, top, right, bottom in np.round(match.missed_xyxy_px).astype(int).tolist():
        center, radius = ((left + right) // 2, (top + bottom) // 2), max(right - left, bottom - top) // 2 + 5
        cv2.circle(drawn, center, radius, _MISSED_RGB, max(1, record.width // 900), cv2.LINE_AA)
    if record.width > WIDTH_PX:
        size = (WIDTH_PX, max(1, round(record.height * WIDTH_PX / record.width)))
        drawn = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    missed = len(match.missed_xyxy_px)
    return Picture(
        title=f"{kind}: {record.path.name}",
        caption=f"F1 {match.f1:.2f}: {match.hits} found, {missed} missed, {match.false_alarms} false alarms",
        jpeg_base64=base64.b64encode(jpeg.tobytes()).decode(),
    )

"""Average precision (AP), by the same code on workstation and board.

COCO's AP: 101 recall points, mean over IoU 0.50 to 0.95 in steps of 0.05. Benchmarks differ in the number of detections
per image and in the size bands, by the square root of the area of the object's box in the source image: a `Protocol`.
A band's AP, like COCO's, is the mean over the same IoU thresholds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

from tinydet.edge.boxes import area
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.detections import Detections

Array = npt.NDArray[Any]

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
EVERY_SIZE = (0.0, 1e5)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Scoring rules of a benchmark.

    max_detections: maximum detections per image, the best by score. bands_px: metric key -> smallest and largest size
    (square root of the area, pixels) of its objects; mean over IoU 0.50 to 0.95. single: metric key -> IoU threshold
    and band, for metrics at one threshold.
    """

    max_detections: int
    bands_px: Mapping[str, tuple[float, float]]
    single: Mapping[str, tuple[float, tuple[float, float]]] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, tuple[float | None, tuple[float, float]]]:
        """Metric key -> IoU threshold (None: mean over all) and band, in the order of display."""
        metrics: dict[str, tuple[float | None, tuple[float, float]]] = {
            "AP": (None, EVERY_SIZE),
            "AP50": (0.5, EVERY_SIZE),
            "AP75": (0.75, EVERY_SIZE),
        }
        return metrics | {key: (None, band) for key, band in self.bands_px.items()} | dict(self.single)


AI_TOD = Protocol(
    max_detections=1500,
    bands_px={"APvt": (0, 8), "APt": (8, 16), "APs": (16, 32), "APm": (32, 1e5)},
)
"""Wang et al., "Tiny Object Detection in Aerial Images", ICPR 2020: very tiny, tiny, small, medium and larger."""

VISDRONE = Protocol(max_detections=500, bands_px={"APs": (0, 32), "APm": (32, 96), "APl": (96, 1e5)})
"""Zhu et al., arXiv:2001.06303: COCO's AP of the best 500 detections; the bands are COCO's."""

TINYPERSON = Protocol(
    max_detections=200,
    bands_px={},
    single={
        "AP50tiny1": (0.5, (1, 8)),
        "AP50tiny2": (0.5, (8, 12)),
        "AP50tiny3": (0.5, (12, 20)),
        "AP50tiny": (0.5, (1, 20)),
        "AP50small": (0.5, (20, 32)),
        "AP25tiny": (0.25, (1, 20)),
        "AP75tiny": (0.75, (1, 20)),
    },
)
"""Yu et al., arXiv:1912.10664: IoU 0.25, 0.5 and 0.75 of the best 200 detections; the smallest band starts at 1 px, as
in the authors' evaluator."""

PROTOCOLS: Mapping[str, Protocol] = {"ai-tod": AI_TOD, "visdrone": VISDRONE, "tinyperson": TINYPERSON}
"""Protocols by the name in recipes and commands; the first is the default."""

BANDS_PX = AI_TOD.bands_px
BAND_NAMES = ("very tiny", "tiny", "small", "medium")
"""Names of `BANDS_PX` for display; the last band includes all larger objects."""
METRIC_KEYS = tuple(AI_TOD.metrics)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Metrics of a detector on a data set, 0 to 1, by the protocol's keys; None where no object of a size exists."""

    overall: Mapping[str, float | None]
    """Mean over the classes that have objects (of that size)."""
    per_class: Mapping[str, Mapping[str, float | None]]
    """The same keys by class name."""

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics by the protocol's keys (AP, AP50, AP75, APvt, APt, APs, APm by default) and per_class."""
        return {**self.overall, "per_class": {name: dict(metrics) for name, metrics in self.per_class.items()}}


def measure_accuracy(
    dataset: Dataset, detections_per_image: Sequence[Detections], *, protocol: Protocol = AI_TOD
) -> Accuracy:
    """Score detections (source pixels, class ids of the data set), in the order of `dataset.images`.

    Detections that lie by half or more in an image's ignored regions are not counted.
    """
    if len(detections_per_image) != len(dataset.images):
        raise ValueError(f"expected detections for {len(dataset.images)} images, got {len(detections_per_image)}")
    counted = [
        found.select(~mostly_inside(found.boxes_xyxy_px, image.ignored_xyxy_px, width=image.width, height=image.height))
        for found, image in zip(detections_per_image, dataset.images, strict=True)
    ]
    bands = list(dict.fromkeys(band for _, band in protocol.metrics.values()))
    ious = sorted({*IOU_THRESHOLDS, *(iou for iou, _ in protocol.metrics.values() if iou is not None)})
    precision = _precision(dataset, counted, ious=ious, bands_px=bands, max_detections=protocol.max_detections)

    def metrics(values: npt.NDArray[np.float64]) -> dict[str, float | None]:
        found = {}
        for key, (iou, band) in protocol.metrics.items():
            rows = [ious.index(threshold) for threshold in (IOU_THRESHOLDS if iou is None else (iou,))]
            found[key] = _mean_of_known(values[rows][..., bands.index(band)])
        return found

    return Accuracy(
        overall=metrics(precision),
        per_class={name: metrics(precision[:, :, [index]]) for index, name in enumerate(dataset.class_names)},
    )


def _precision(
    dataset: Dataset,
    detections_per_image: Sequence[Detections],
    *,
    ious: Sequence[float],
    bands_px: Sequence[tuple[float, float]],
    max_detections: int,
) -> npt.NDArray[np.float64]:
    """Compute precision (IoU thresholds, 101 recalls, classes, bands); -1 where there is no object."""
    images = [{"id": index, "width": i.width, "height": i.height} for index, i in enumerate(dataset.images, 1)]
    categories = [{"id": index, "name": name} for index, name in enumerate(dataset.class_names)]
    truth = _annotations(
        ((image.boxes_xyxy_px, image.class_ids, image.is_crowd.astype(int)) for image in dataset.images), "iscrowd"
    )
    found = _annotations(((each.boxes_xyxy_px, each.class_ids, each.scores) for each in detections_per_image), "score")
    if not truth or not categories:
        return np.full((len(ious), 101, max(1, len(categories)), len(bands_px)), -1.0)

    evaluation = COCOeval_faster(
        COCO({"images": images, "categories": categories, "annotations": truth}),
        COCO({"images": images, "categories": categories, "annotations": found}),
        "bbox",
        print_function=_logger.debug,
    )
    evaluation.params.maxDets = [max_detections]
    evaluation.params.iouThrs = np.array(ious)
    evaluation.params.areaRng = [[low**2, high**2] for low, high in bands_px]
    evaluation.params.areaRngLbl = [f"{low:g}-{high:g}" for low, high in bands_px]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: npt.NDArray[np.float64] = np.asarray(evaluation.eval["precision"], np.float64)[..., 0]
    return precision


def _annotations(images: Iterable[tuple[Array, Array, Array]], key: str) -> list[dict[str, Any]]:
    """COCO annotations from the boxes, class ids and values of `key` of each image.

    Ids start above 0, which the evaluation takes for no match.
    """
    found: list[dict[str, Any]] = []
    for image_id, (boxes_xyxy_px, class_ids, values) in enumerate(images, 1):
        exact = boxes_xyxy_px.astype(np.float64)
        columns = zip(exact.tolist(), area(exact).tolist(), class_ids.tolist(), values.tolist(), strict=True)
        for (left, top, right, bottom), area_px2, class_id, value in columns:
            annotation = {
                "id": len(found) + 1,
                "image_id": image_id,
                "category_id": class_id,
                "bbox": [left, top, right - left, bottom - top],
                "area": area_px2,
                "iscrowd": 0,
            }
            found.append(annotation | {key: value})
    return found


def _mean_of_known(values: npt.NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None

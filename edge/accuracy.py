"""Average precision by the AI-TOD protocol, the same code on workstation and board.

Protocol: COCO's AP (mean over IoU 0.50 to 0.95 in steps of 0.05, 101 recall points) with at most 1500 detections an
image and the size bands of AI-TOD (Wang et al., "Tiny Object Detection in Aerial Images", ICPR 2020), by the square
root of the area of the object's box in the source image. A band's AP, like COCO's, is the mean over the same IoU
thresholds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]

from edge.dataset import Dataset
from edge.detections import Detections

MAX_DETECTIONS = 1500

BANDS_PX: Mapping[str, tuple[float, float]] = {
    "APvt": (0, 8),
    "APt": (8, 16),
    "APs": (16, 32),
    "APm": (32, 1e5),
}
"""Metric key -> sides of equivalent squares, in source pixels: very tiny, tiny, small, medium and larger."""

METRIC_KEYS = ("AP", "AP50", "AP75", *BANDS_PX)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Metrics 0 to 1 by the keys of `METRIC_KEYS`; None where no object of that size exists."""

    overall: Mapping[str, float | None]
    """Mean over the classes that have objects (of that size)."""
    per_class: Mapping[str, Mapping[str, float | None]]
    """The same keys by class name."""

    def as_dict(self) -> dict[str, Any]:
        """Keys AP, AP50, AP75, APvt, APt, APs, APm and per_class: the layout of every metrics file."""
        return {**self.overall, "per_class": {name: dict(metrics) for name, metrics in self.per_class.items()}}


def measure_accuracy(dataset: Dataset, detections_per_image: Sequence[Detections]) -> Accuracy:
    """Score detections (source pixels, class ids of the data set), given in the order of `dataset.images`."""
    if len(detections_per_image) != len(dataset.images):
        raise ValueError(f"expected detections for {len(dataset.images)} images, got {len(detections_per_image)}")
    precision = _precision(dataset, detections_per_image)
    return Accuracy(
        overall=_metrics(precision),
        per_class={name: _metrics(precision[:, :, [index]]) for index, name in enumerate(dataset.class_names)},
    )


def _precision(dataset: Dataset, detections_per_image: Sequence[Detections]) -> npt.NDArray[np.float64]:
    """Precision by (10 IoU thresholds, 101 recalls, classes, 1 + 4 bands); -1 where nothing is to be found."""
    images = [{"id": index, "width": i.width, "height": i.height} for index, i in enumerate(dataset.images, 1)]
    categories = [{"id": index, "name": name} for index, name in enumerate(dataset.class_names)]
    truth, found = _ground_truth(dataset), _results(detections_per_image)
    if not truth or not categories:
        return np.full((10, 101, max(1, len(categories)), 1 + len(BANDS_PX)), -1.0)

    evaluation = COCOeval_faster(
        COCO({"images": images, "categories": categories, "annotations": truth}),
        COCO({"images": images, "categories": categories, "annotations": found}),
        "bbox",
        print_function=_logger.debug,
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = [[0, 1e5**2], *([low**2, high**2] for low, high in BANDS_PX.values())]
    evaluation.params.areaRngLbl = ["all", *BANDS_PX]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: npt.NDArray[np.float64] = np.asarray(evaluation.eval["precision"], np.float64)[..., 0]
    return precision


def _ground_truth(dataset: Dataset) -> list[dict[str, Any]]:
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(dataset.images, 1):
        for box, class_id, is_crowd in zip(
            image.boxes_xyxy_px.astype(np.float64), image.class_ids.tolist(), image.is_crowd.tolist(), strict=True
        ):
            annotations.append(_annotation(len(annotations) + 1, image_id, box, class_id) | {"iscrowd": int(is_crowd)})
    return annotations


def _results(detections_per_image: Sequence[Detections]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for image_id, detections in enumerate(detections_per_image, 1):
        for box, score, class_id in zip(
            detections.boxes_xyxy_px.astype(np.float64),
            detections.scores.tolist(),
            detections.class_ids.tolist(),
            strict=True,
        ):
            results.append(_annotation(len(results) + 1, image_id, box, class_id) | {"score": score, "iscrowd": 0})
    return results


def _annotation(annotation_id: int, image_id: int, box_xyxy: npt.NDArray[np.float64], class_id: int) -> dict[str, Any]:
    """COCO's form. Ids start at 1: the evaluation takes a match with id 0 for no match."""
    left, top, right, bottom = box_xyxy.tolist()
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": class_id,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
    }


def _metrics(precision: npt.NDArray[np.float64]) -> dict[str, float | None]:
    """Precision (10, 101, classes, 1 + 4 bands) -> metrics by key."""
    everything = precision[..., 0]
    slices = {"AP": everything, "AP50": everything[0], "AP75": everything[5]}
    slices |= {key: precision[..., index] for index, key in enumerate(BANDS_PX, 1)}
    return {key: _mean_of_known(values) for key, values in slices.items()}


def _mean_of_known(values: npt.NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None

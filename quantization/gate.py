"""The accuracy gate: how much AP INT8 may lose, and how much it did lose.

A class counts if the data has `MIN_OBJECTS` of it: with fewer, AP moves by more than the limits when a single box
shifts by half a pixel. AP is the mean over the classes that count; a size band's AP, over the classes with as many
objects in that band.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinydet.edge.boxes import size
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.evaluation.average_precision import BANDS_PX, Accuracy

MIN_OBJECTS = 50
MAX_DROP = 0.010
MAX_BAND_DROP = 0.015


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """FP32 against INT8 in one metric. name: AP, or a band's key. objects: how many it is measured on."""

    name: str
    fp32: float
    int8: float
    limit: float
    objects: int

    @property
    def drop(self) -> float:
        """AP that INT8 loses, 0 to 1."""
        return self.fp32 - self.int8

    @property
    def passes(self) -> bool:
        """Whether the drop is within the limit; half a hundredth of a point is allowed for rounding."""
        return self.drop <= self.limit + 5e-5


class Gate:
    """The accuracy gate on `dataset`. `reliable` is False where no class has `MIN_OBJECTS`: then every class counts."""

    def __init__(self, dataset: Dataset, *, max_drop: float = MAX_DROP, max_band_drop: float = MAX_BAND_DROP) -> None:
        self.dataset = dataset
        self.limits = (max_drop, max_band_drop)
        self.counts = _objects(dataset)
        self.reliable = any(count["AP"] >= MIN_OBJECTS for count in self.counts.values())

    def mean_ap(self, accuracy: Accuracy) -> float:
        """Mean AP, 0 to 1, of the classes that count."""
        return self._mean("AP", accuracy)

    def compare(self, fp32: Accuracy, int8: Accuracy) -> list[Comparison]:
        """Compare AP, then each band that has enough objects."""
        max_drop, max_band_drop = self.limits
        return [
            Comparison(
                name=key,
                fp32=self._mean(key, fp32),
                int8=self._mean(key, int8),
                limit=max_drop if key == "AP" else max_band_drop,
                objects=sum(self.counts[name][key] for name in self._classes(key)),
            )
            for key in ("AP", *BANDS_PX)
            if self._classes(key)
        ]

    def _classes(self, key: str) -> list[str]:
        least = MIN_OBJECTS if self.reliable or key != "AP" else 1
        return [name for name, count in self.counts.items() if count[key] >= least]

    def _mean(self, key: str, accuracy: Accuracy) -> float:
        values = [accuracy.per_class[name][key] or 0.0 for name in self._classes(key)]
        return float(np.mean(values)) if values else 0.0


def _objects(dataset: Dataset) -> dict[str, Mapping[str, int]]:
    """Class name -> number of objects by metric key; crowds do not count."""
    counts: dict[str, Mapping[str, int]] = {}
    for class_id, name in enumerate(dataset.class_names):
        boxes = np.concatenate(
            [image.boxes_xyxy_px[(image.class_ids == class_id) & ~image.is_crowd] for image in dataset.images]
        )
        sizes_px = size(boxes)
        of_band = {key: int(((sizes_px >= low) & (sizes_px < high)).sum()) for key, (low, high) in BANDS_PX.items()}
        counts[name] = {"AP": len(boxes), **of_band}
    return counts

"""`Detections`: the objects found in one image, as everything here produces and takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_FLOAT32, _INT64 = np.dtype(np.float32), np.dtype(np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """N detected objects of one image.

    Raises:
        ValueError: a shape or dtype differs from the ones below, or a number is not finite.
    """

    boxes_xyxy_px: npt.NDArray[np.float32]
    """(N, 4) left, top, right, bottom in pixels of the source image; pixel i covers [i, i + 1]."""
    scores: npt.NDArray[np.float32]
    """(N,) confidence, 0 to 1."""
    class_ids: npt.NDArray[np.int64]
    """(N,) index into the class names of the model or data set."""

    def __post_init__(self) -> None:
        count = len(self.boxes_xyxy_px)
        _check("boxes_xyxy_px", self.boxes_xyxy_px, (count, 4), _FLOAT32)
        _check("scores", self.scores, (count,), _FLOAT32)
        _check("class_ids", self.class_ids, (count,), _INT64)
        if not (np.isfinite(self.boxes_xyxy_px).all() and np.isfinite(self.scores).all()):
            raise ValueError("detections hold a box or a score that is not a finite number")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Detections:
        """Detections without any object."""
        return cls(
            boxes_xyxy_px=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), class_ids=np.zeros(0, np.int64)
        )

    def select(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Detections:
        """Pick detections by a mask, positions or a slice, in that order."""
        return Detections(
            boxes_xyxy_px=self.boxes_xyxy_px[index], scores=self.scores[index], class_ids=self.class_ids[index]
        )


def _check(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name}: expected {dtype.name} {shape}, got {array.dtype.name} {array.shape}")

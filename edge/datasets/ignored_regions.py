"""Ignored regions of an image: areas that were not annotated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

HALF = 0.5


def mostly_inside(
    boxes_xyxy_px: npt.NDArray[np.floating[Any]],
    regions_xyxy_px: npt.NDArray[np.floating[Any]],
    *,
    width: int,
    height: int,
) -> npt.NDArray[np.bool_]:
    """(N,) True where the union of regions (K, 4) covers half or more of a box (N, 4), counted in whole pixels.

    A summed-area table makes the cost of a box independent of the number of regions.
    """
    if len(regions_xyxy_px) == 0 or len(boxes_xyxy_px) == 0:
        return np.zeros(len(boxes_xyxy_px), bool)
    covered = np.zeros((height + 1, width + 1), np.int32)
    limit = np.array([width, height, width, height])
    for left, top, right, bottom in np.clip(np.rint(regions_xyxy_px), 0, limit).astype(int).tolist():
        covered[top + 1 : bottom + 1, left + 1 : right + 1] = 1
    table = covered.cumsum(0).cumsum(1)
    left, top, right, bottom = np.clip(np.rint(boxes_xyxy_px), 0, limit).astype(int).T
    right, bottom = np.maximum(right, np.minimum(left + 1, width)), np.maximum(bottom, np.minimum(top + 1, height))
    inside = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    area = np.maximum((right - left) * (bottom - top), 1)
    return np.asarray(inside >= HALF * area)

"""Area, intersection and IoU of boxes (..., 4): left, top, right, bottom in pixels.

Leading axes broadcast: `iou(a[:, None], b)` of (N, 4) and (M, 4) is (N, M). Results keep the dtype of the boxes. A
box of negative width or height is empty.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Float = TypeVar("Float", np.float32, np.float64)

_MIN_UNION_PX = 1e-9
"""IoU of two empty boxes is 0."""


def area(boxes_xyxy: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """(...) square pixels."""
    return _rectangle(boxes_xyxy[..., 2] - boxes_xyxy[..., 0], boxes_xyxy[..., 3] - boxes_xyxy[..., 1])


def size(boxes_xyxy: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """(...) square root of the area, in pixels: the size that AI-TOD's bands are made of."""
    sizes: npt.NDArray[Float] = np.sqrt(area(boxes_xyxy))
    return sizes


def intersection(a_xyxy: npt.NDArray[Float], b_xyxy: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """(...) area that both boxes cover, in square pixels."""
    width = np.minimum(a_xyxy[..., 2], b_xyxy[..., 2]) - np.maximum(a_xyxy[..., 0], b_xyxy[..., 0])
    height = np.minimum(a_xyxy[..., 3], b_xyxy[..., 3]) - np.maximum(a_xyxy[..., 1], b_xyxy[..., 1])
    return _rectangle(width, height)


def iou(a_xyxy: npt.NDArray[Float], b_xyxy: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """(...) intersection over union, 0 to 1."""
    shared = intersection(a_xyxy, b_xyxy)
    union = area(a_xyxy) + area(b_xyxy) - shared
    overlap: npt.NDArray[Float] = shared / np.maximum(union, _MIN_UNION_PX)
    return overlap


def _rectangle(width: npt.NDArray[Float], height: npt.NDArray[Float]) -> npt.NDArray[Float]:
    area_px2: npt.NDArray[Float] = np.maximum(width, 0) * np.maximum(height, 0)
    return area_px2

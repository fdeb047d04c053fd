"""Similarity of predicted and detected boxes, for objects so small that the two may not overlap at all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinydet.edge.boxes import iou

Array = npt.NDArray[np.float64]


def similarity(predicted_cxcywh: Array, predicted_std_px: Array, detected_cxcywh: Array) -> Array:
    """Mean (N, M) of IoU and normalized Wasserstein distance, 0 to 1.

    The latter is exp(-W / C) with W the 2-Wasserstein distance of the boxes as Gaussians (Wang et al.,
    arXiv:2110.13389, equations 4 and 5). C is not the constant of a data set but the size of the predicted box plus
    the standard deviation of its centre (N,): a new or long lost object is searched in a wider circle.
    """
    difference = predicted_cxcywh[:, None] - detected_cxcywh
    difference[..., 2:] /= 2
    reach_px = np.sqrt(predicted_cxcywh[:, 2] * predicted_cxcywh[:, 3]) + predicted_std_px
    nwd: Array = np.exp(-np.sqrt((difference**2).sum(axis=2)) / reach_px[:, None])
    return (nwd + iou(_to_xyxy(predicted_cxcywh)[:, None], _to_xyxy(detected_cxcywh))) / 2


def to_cxcywh(boxes_xyxy_px: npt.NDArray[np.float32]) -> Array:
    """Turn corners (N, 4) into centre x, centre y, width, height; sides are at least one pixel."""
    corners = boxes_xyxy_px.astype(np.float64)
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 1.0)
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, sides], axis=1)


def _to_xyxy(boxes_cxcywh: Array) -> Array:
    centres, halves = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)

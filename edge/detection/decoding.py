"""Decoding the network's raw outputs into candidate detections in input pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from tinydet.edge.detections import Detections

MAX_CANDIDATES = 3000
"""Maximum candidates per image that go to NMS, the best by score."""


def decode(
    raw_outputs: Sequence[npt.NDArray[np.float32]],
    *,
    strides: Sequence[int],
    score_threshold: float,
    max_candidates: int = MAX_CANDIDATES,
    batch_index: int = 0,
) -> Detections:
    """Decode one image's raw outputs, best score first; ties are in the order of level, row, column, class.

    The score threshold is applied to the logits (sigmoid is monotonic), so that a rejected cell costs one comparison;
    only the survivors are sorted, put through the sigmoid, and turned into boxes.

    Args:
        raw_outputs: logits (N, H, W, classes), then distances (N, H, W, 4) of each level in turn. Distances are left,
            top, right, bottom from the cell's centre ((x + 0.5) * stride, (y + 0.5) * stride), in strides.
        strides: strides of the levels, in input pixels.
        score_threshold: 0 to 1; a cell may give one candidate per class that passes it.
        max_candidates: maximum candidates to keep, the best by score.
        batch_index: index of the image in the batch.
    """
    threshold_logit = np.float32(_logit(score_threshold))
    found = []
    for level, stride in enumerate(strides):
        _, height, width, class_count = raw_outputs[2 * level].shape
        flat_logits = raw_outputs[2 * level][batch_index].reshape(-1)
        (passing,) = (flat_logits >= threshold_logit).nonzero()
        if len(passing) == 0:
            continue
        passing = _best(flat_logits, passing, max_candidates)
        cell = passing // class_count
        centres_px, steps_px = _grid(height, width, stride)
        boxes = raw_outputs[2 * level + 1][batch_index].reshape(-1, 4).take(cell, axis=0)
        boxes *= steps_px
        boxes += centres_px.take(cell, axis=0)
        found.append((flat_logits.take(passing), boxes, passing - cell * class_count))
    if not found:
        return Detections.empty()
    logits, boxes, class_ids = (np.concatenate(part) for part in zip(*found, strict=True))
    order = (-logits).argsort(kind="stable")[:max_candidates]
    return Detections(
        boxes_xyxy_px=boxes.take(order, axis=0), scores=_sigmoid(logits.take(order)), class_ids=class_ids.take(order)
    )


@cache
def _grid(height: int, width: int, stride: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cell centres (H * W, 4) as x, y, x, y, row by row, and the signed stride (4,) of each side, in input pixels."""
    row, column = np.mgrid[:height, :width]
    centres_px = (np.stack([column, row] * 2, axis=-1).reshape(-1, 4) + 0.5) * stride
    return centres_px.astype(np.float32), np.array([-stride, -stride, stride, stride], np.float32)


def _best(values: npt.NDArray[np.float32], index: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """Keep the `count` of `index` with the highest values, in ascending order; of equal values the first ones."""
    if len(index) <= count:
        return index
    chosen = values[index]
    limit = np.partition(chosen, len(chosen) - count)[len(chosen) - count]
    above = chosen > limit
    ties = np.flatnonzero(chosen == limit)[: count - int(above.sum())]
    above[ties] = True
    best: npt.NDArray[np.intp] = index[above]
    return best


def _logit(probability: float) -> float:
    if probability in (0, 1):
        return math.inf if probability else -math.inf
    return math.log(probability) - math.log1p(-probability)


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # exp of more than 88 is too large for a float32, and 1 / (1 + it) is nearly 0
    scores: npt.NDArray[np.float32] = np.float32(1) / (np.float32(1) + np.exp(np.minimum(-logits, np.float32(88))))
    return scores

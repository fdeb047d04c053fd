"""Raw outputs of the network -> candidate detections in input pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.detections import Detections

MAX_CANDIDATES = 3000
"""How many of the best-scored candidates an image may hand to NMS."""


def decode(
    raw_outputs: Sequence[npt.NDArray[np.float32]],
    *,
    strides: Sequence[int],
    score_threshold: float,
    max_candidates: int = MAX_CANDIDATES,
    batch_index: int = 0,
) -> Detections:
    """Turn one image's raw outputs into candidates, best score first; ties in the order level, row, column, class.

    The score threshold is applied to the logits (sigmoid is monotonic), so whatever does not pass it costs one
    comparison; only the survivors are sorted, put through the sigmoid, and turned into boxes.

    Args:
        raw_outputs: logits and distances a level, level by level: (N, H, W, classes) and (N, H, W, 4). Distances are
            left, top, right, bottom from the cell's centre ((x + 0.5) * stride, (y + 0.5) * stride), in strides.
        strides: of the levels, in input pixels.
        score_threshold: 0 to 1; a cell may give one candidate for each class that passes it.
        max_candidates: keep at most that many, the best.
        batch_index: which image of the batch.
    """
    threshold_logit = np.float32(_logit(score_threshold))
    level_logits, level_boxes, level_class_ids = [], [], []
    for level, stride in enumerate(strides):
        logits_hwc, distances_hw4 = raw_outputs[2 * level][batch_index], raw_outputs[2 * level + 1][batch_index]
        _, width, class_count = logits_hwc.shape
        flat_logits = logits_hwc.reshape(-1)
        passing = np.flatnonzero(flat_logits >= threshold_logit)
        passing = _best(flat_logits, passing, max_candidates)
        cell, class_ids = np.divmod(passing, class_count)
        row, column = np.divmod(cell, width)
        boxes = distances_hw4.reshape(-1, 4).take(cell, axis=0)
        boxes[:, :2] *= -1  # left and top of the centre
        boxes[:, 0::2] += column[:, np.newaxis] + 0.5
        boxes[:, 1::2] += row[:, np.newaxis] + 0.5
        boxes *= stride
        level_logits.append(flat_logits[passing])
        level_boxes.append(boxes)
        level_class_ids.append(class_ids)

    logits = np.concatenate(level_logits)
    order = np.argsort(-logits, kind="stable")[:max_candidates]
    return Detections(
        boxes_xyxy_px=np.concatenate(level_boxes).take(order, axis=0),
        scores=_sigmoid(logits[order]),
        class_ids=np.concatenate(level_class_ids)[order],
    )


def _best(values: npt.NDArray[np.float32], index: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """Those of `index` with the `count` highest values, in ascending order of index; of equal values the first ones."""
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
    with np.errstate(over="ignore"):  # exp of a large number is infinity and 1 / (1 + infinity) is the right 0
        return np.float32(1) / (np.float32(1) + np.exp(-logits))

"""Non-maximum suppression for many tiny boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.detections import Detections

_PAIRS_AT_ONCE = 1 << 18
"""Bounds the memory of one pass (about 20 MB) when many large boxes lie on each other."""
_ROUNDING = 1e-5
"""More than the relative error of an IoU in float32."""


def nms(detections: Detections, *, iou_threshold: float, max_detections: int, box_voting: bool = False) -> Detections:
    """Greedy class-aware NMS, best score first; of equal scores the earlier one goes first.

    A box is dropped when its IoU with a kept box of its class and a better rank exceeds `iou_threshold`. The result is
    that of the usual loop over all pairs, found without looking at all pairs: boxes sorted by class and left edge meet
    only those that start within the first 1 - `iou_threshold` of their width, which for tiny objects are few.

    box_voting: a kept box becomes the mean of itself and those that it drops, weighted by score (Gidaris and
    Komodakis, ICCV 2015, arXiv:1505.01749). Several cells see every object, each a little off, and which of them has
    the best score by a hair is chance: their mean is nearer to the object, and stays when scores change by a rounding.
    """
    if len(detections) == 0:
        return detections
    rank = np.argsort(-detections.scores, kind="stable")
    boxes, scores = detections.boxes_xyxy_px.take(rank, axis=0), detections.scores[rank]
    class_ids = detections.class_ids[rank]
    better, worse = _suppressing_pairs(boxes, class_ids, iou_threshold)
    kept = np.flatnonzero(_survivors(len(rank), better, worse))[:max_detections]
    if box_voting:
        boxes = _voted(boxes, scores, better, worse)
    return Detections(boxes_xyxy_px=boxes.take(kept, axis=0), scores=scores[kept], class_ids=class_ids[kept])


def _voted(
    boxes_xyxy_px: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    better: npt.NDArray[np.intp],
    worse: npt.NDArray[np.intp],
) -> npt.NDArray[np.float32]:
    """(N, 4) for each box the mean of itself and of the worse ones in its pairs, weighted by score."""
    weights = np.maximum(scores.astype(np.float64), np.finfo(np.float32).tiny)  # a lone box of score 0 stays
    total = weights + np.bincount(better, weights[worse], len(weights))
    voted = np.empty_like(boxes_xyxy_px)
    for side, weighted in enumerate(weights * boxes_xyxy_px.T):
        voted[:, side] = (weighted + np.bincount(better, weighted[worse], len(weights))) / total
    return voted


def _suppressing_pairs(
    boxes_xyxy_px: npt.NDArray[np.float32], class_ids: npt.NDArray[np.int64], iou_threshold: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Ranks (better, worse) of all pairs of one class whose IoU exceeds the threshold."""
    left, right = boxes_xyxy_px[:, 0].astype(np.float64), boxes_xyxy_px[:, 2].astype(np.float64)
    # One number line with a stretch of its own for each class; boxes of negative width meet nobody.
    span_px = max(float(right.max() - left.min()) + 1.0, 1.0)
    start_px = left + (class_ids * span_px - left.min())
    # IoU is at most the share of a box's width that the other one covers.
    reach_px = start_px + (right - left) * min(1 - iou_threshold + _ROUNDING, 1)
    by_start = np.argsort(start_px, kind="stable")
    following = np.arange(1, len(by_start) + 1)
    count = np.maximum(np.searchsorted(start_px[by_start], reach_px[by_start], side="left") - following, 0)

    left_px, top_px, right_px, bottom_px = boxes_xyxy_px.take(by_start, axis=0).T.copy()
    area_px = np.maximum(right_px - left_px, 0) * np.maximum(bottom_px - top_px, 0)
    better, worse = [], []
    for chunk in _chunks(count):
        repeats = count[chunk]
        pairs_before = np.cumsum(repeats) - repeats
        a = np.repeat(np.arange(chunk.start, chunk.stop), repeats)
        b = np.arange(len(a)) + np.repeat(following[chunk] - pairs_before, repeats)
        height_px = np.minimum(bottom_px[a], bottom_px[b]) - np.maximum(top_px[a], top_px[b])
        near = np.flatnonzero(height_px > 0)
        a, b = a[near], b[near]
        width_px = np.minimum(right_px[a], right_px[b]) - left_px[b]  # b starts at or after a
        intersection_px = np.maximum(width_px, 0) * height_px[near]
        union_px = area_px[a] + area_px[b] - intersection_px
        hit = np.flatnonzero(intersection_px > np.float32(iou_threshold) * union_px)
        a, b = by_start[a[hit]], by_start[b[hit]]
        better.append(np.minimum(a, b))
        worse.append(np.maximum(a, b))
    return np.concatenate(better), np.concatenate(worse)


def _chunks(count: npt.NDArray[np.intp]) -> list[slice]:
    """Cut the boxes into runs of about `_PAIRS_AT_ONCE` pairs."""
    total = np.cumsum(count)
    if total[-1] <= _PAIRS_AT_ONCE:
        return [slice(0, len(count))]
    edges = np.searchsorted(total, np.arange(_PAIRS_AT_ONCE, int(total[-1]) + 1, _PAIRS_AT_ONCE)) + 1
    stops = np.unique(np.append(edges, len(count)))
    return [slice(start, stop) for start, stop in zip([0, *stops[:-1].tolist()], stops.tolist(), strict=True)]


def _survivors(count: int, better: npt.NDArray[np.intp], worse: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Resolve "the better one of a pair drops the worse, if it is itself kept" for all boxes at once.

    Each round keeps every undecided box that no undecided better one can still drop, and drops what the newly kept ones
    suppress. The best undecided box is always decided, so it ends; for detections it takes a handful of rounds.
    """
    dropped = np.zeros(count, bool)
    while len(better):
        threatened = np.zeros(count, bool)
        threatened[worse] = True
        certain = ~threatened[better]  # nobody left can drop this pair's better box: it is kept
        dropped[worse[certain]] = True
        open_pairs = ~(dropped[better] | dropped[worse])
        better, worse = better[open_pairs], worse[open_pairs]
    return ~dropped

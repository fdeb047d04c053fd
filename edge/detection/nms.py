"""Non-maximum suppression for many tiny boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinydet.edge.boxes import area, intersection
from tinydet.edge.detections import Detections

_PAIRS_AT_ONCE = 1 << 18
"""Pairs of boxes per pass: bounds its memory to about 20 MB when many large boxes overlap."""
_MIN_WEIGHT = 1e-30
"""Minimum weight of a voting box: a box of score 0 that votes alone stays where it is."""
_ROUNDING = np.uint16(1)
"""Places that float32 may round a box's reach down by."""
_LAST_PLACE = np.float32((1 << 16) - 1 - int(_ROUNDING))


def nms(detections: Detections, *, iou_threshold: float, max_detections: int, box_voting: bool = False) -> Detections:
    """Greedy class-aware NMS, best score first; of equal scores the earlier one goes first.

    A box is dropped when its IoU with a better, kept box of its class exceeds `iou_threshold`. The result is that of
    the usual loop over all pairs, but few pairs are compared: of boxes sorted by class and left edge, only those that
    start within the first 1 - `iou_threshold` of a box's width can overlap it enough.

    box_voting: replace a kept box by the mean of itself and the boxes it drops, weighted by score (Gidaris and
    Komodakis, ICCV 2015, arXiv:1505.01749). Several cells detect every object, each a little off, and chance decides
    which of them scores best: their mean is nearer to the object, and stable when scores change by a rounding.
    """
    if len(detections) == 0:
        return detections
    boxes, scores, class_ids = detections.boxes_xyxy_px, detections.scores, detections.class_ids
    if (scores[1:] > scores[:-1]).any():
        rank = (-scores).argsort(kind="stable")
        boxes, scores, class_ids = boxes.take(rank, axis=0), scores.take(rank), class_ids.take(rank)
    better, worse = _suppressing_pairs(boxes, class_ids, iou_threshold)
    survives = _survivors(len(scores), better, worse)
    kept = survives.nonzero()[0][:max_detections]
    boxes = _voted(boxes, scores, better, worse, survives)[:max_detections] if box_voting else boxes.take(kept, axis=0)
    return Detections(boxes_xyxy_px=boxes, scores=scores.take(kept), class_ids=class_ids.take(kept))


def _voted(
    boxes_xyxy_px: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    better: npt.NDArray[np.intp],
    worse: npt.NDArray[np.intp],
    survives: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """Average each surviving box with the worse boxes of its pairs, weighted by score: (K, 4)."""
    weighted = np.empty((5, len(scores)))  # the four sides, and the weight
    weights = np.maximum(scores, _MIN_WEIGHT, out=weighted[4])
    np.multiply(boxes_xyxy_px.T, weights, out=weighted[:4])
    (of_survivors,) = survives.take(better).nonzero()
    place = (survives.cumsum() - 1).take(better.take(of_survivors))
    total = weighted.compress(survives, axis=1)
    for row, votes in zip(total, weighted.take(worse.take(of_survivors), axis=1), strict=True):
        row += np.bincount(place, votes, len(row))
    voted: npt.NDArray[np.float32] = (total[:4] / total[4]).T.astype(np.float32, order="C")
    return voted


def _suppressing_pairs(
    boxes_xyxy_px: npt.NDArray[np.float32], class_ids: npt.NDArray[np.int64], iou_threshold: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Find all pairs of one class whose IoU exceeds the threshold, as ranks (better, worse)."""
    # All classes lie on one number line, each on a stretch of its own, twice as long as its boxes need, so that none
    # reaches into the next. The line is cut into places that fit 16 bits, which numpy sorts fastest.
    left_px, right_px = boxes_xyxy_px[:, 0].copy(), boxes_xyxy_px[:, 2].copy()
    origin_px = left_px.min()
    start_px = class_ids.astype(np.float32)
    start_px *= max(2 * (right_px.max() - origin_px), 1)
    start_px += left_px - origin_px
    # IoU is at most the share of a box's width that the other box covers; boxes of negative width overlap none.
    width_px = np.maximum(right_px - left_px, 0)
    reach_px = start_px + width_px * np.float32(1 - iou_threshold)
    places_per_px = _LAST_PLACE / max(reach_px.max(), 1)
    start, reach = (start_px * places_per_px).astype(np.uint16), (reach_px * places_per_px).astype(np.uint16)
    reach += _ROUNDING
    by_start = start.argsort(kind="stable")
    following = np.arange(1, len(by_start) + 1)
    count = start.take(by_start).searchsorted(reach.take(by_start), side="right") - following
    pairs = count.cumsum()  # number of pairs up to and including each box

    boxes_px = boxes_xyxy_px.take(by_start, axis=0)
    area_px = area(boxes_px)
    better, worse = [], []
    for chunk in _chunks(pairs):
        repeats = count[chunk]
        a = np.arange(chunk.start, chunk.stop).repeat(repeats)
        b = (following - pairs + count)[chunk].repeat(repeats)
        b += np.arange(pairs[chunk.stop - 1] - len(b), pairs[chunk.stop - 1])
        intersection_px = intersection(boxes_px.take(a, axis=0), boxes_px.take(b, axis=0))
        union_px = area_px.take(a) + area_px.take(b) - intersection_px
        (hit,) = (intersection_px > np.float32(iou_threshold) * union_px).nonzero()
        a, b = by_start.take(a.take(hit)), by_start.take(b.take(hit))
        better.append(np.minimum(a, b))
        worse.append(np.maximum(a, b))
    return np.concatenate(better), np.concatenate(worse)


def _chunks(pairs: npt.NDArray[np.intp]) -> list[slice]:
    """Cut the boxes into runs of about `_PAIRS_AT_ONCE` pairs, given the cumulative number of pairs."""
    if pairs[-1] <= _PAIRS_AT_ONCE:
        return [slice(0, len(pairs))]
    edges = np.searchsorted(pairs, np.arange(_PAIRS_AT_ONCE, int(pairs[-1]) + 1, _PAIRS_AT_ONCE)) + 1
    stops = np.unique(np.append(edges, len(pairs)))
    return [slice(start, stop) for start, stop in zip([0, *stops[:-1].tolist()], stops.tolist(), strict=True)]


def _survivors(count: int, better: npt.NDArray[np.intp], worse: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Decide which boxes are kept (N,): of a pair the better box drops the worse one, if it is itself kept.

    Each round keeps every undecided box that no undecided better box can still drop, and drops those that the newly
    kept ones suppress. The best undecided box is always decided, so it ends; detections take a handful of rounds.
    """
    dropped = np.zeros(count, bool)
    while len(better):
        threatened = np.zeros(count, bool)
        threatened[worse] = True
        certain = ~threatened.take(better)  # no box left can drop this pair's better box: it is kept
        dropped[worse.compress(certain)] = True
        open_pairs = ~(dropped.take(better) | dropped.take(worse))
        better, worse = better.compress(open_pairs), worse.compress(open_pairs)
    return ~dropped

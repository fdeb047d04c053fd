from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.detection import nms as nms_module
from tinydet.edge.detection.nms import nms
from tinydet.edge.detections import Detections


def clusters(
    objects: int,
    per_object: int,
    *,
    size_px: float = 12,
    classes: int = 3,
    score_steps: int | None = None,
    seed: int = 0,
) -> Detections:
    """`per_object` jittered boxes around each of `objects` places in 640x640, shuffled."""
    random = np.random.default_rng(seed)
    count = objects * per_object
    centre, size = random.uniform(0, 640, (objects, 2)), random.uniform(0.6, 1.6, (objects, 2)) * size_px
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).repeat(per_object, axis=0)
    boxes += random.normal(0, size_px / 12, boxes.shape)
    scores = random.random(count)
    if score_steps:
        scores = np.round(scores * score_steps) / score_steps
    class_ids = random.integers(0, classes, objects).repeat(per_object)
    order = random.permutation(count)
    return Detections(
        boxes_xyxy_px=boxes[order].astype(np.float32),
        scores=scores[order].astype(np.float32),
        class_ids=class_ids[order].astype(np.int64),
    )


def exceeds(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], iou_threshold: float) -> bool:
    """IoU above the threshold, written as intersection > threshold x union: an empty union is no reason to divide."""
    zero = np.float32(0)
    width = max(min(a[2], b[2]) - max(a[0], b[0]), zero)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), zero)
    areas = [max(box[2] - box[0], zero) * max(box[3] - box[1], zero) for box in (a, b)]
    intersection = width * height
    return bool(intersection > np.float32(iou_threshold) * (areas[0] + areas[1] - intersection))


def naive(detections: Detections, iou_threshold: float, max_detections: int) -> list[int]:
    """The textbook loop."""
    kept: list[int] = []
    for candidate in np.argsort(-detections.scores, kind="stable").tolist():
        if all(
            detections.class_ids[candidate] != detections.class_ids[better]
            or not exceeds(detections.boxes_xyxy_px[candidate], detections.boxes_xyxy_px[better], iou_threshold)
            for better in kept
        ):
            kept.append(candidate)
    return kept[:max_detections]


def assert_is_naive(detections: Detections, iou_threshold: float = 0.5, max_detections: int = 1500) -> None:
    kept = naive(detections, iou_threshold, max_detections)
    result = nms(detections, iou_threshold=iou_threshold, max_detections=max_detections)
    assert np.array_equal(result.boxes_xyxy_px, detections.boxes_xyxy_px[kept])
    assert np.array_equal(result.scores, detections.scores[kept])
    assert np.array_equal(result.class_ids, detections.class_ids[kept])


@pytest.mark.parametrize("iou_threshold", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize(
    "detections",
    [
        clusters(40, 8),
        clusters(1, 100, classes=1),
        clusters(30, 8, size_px=200),
        clusters(30, 8, score_steps=5),
        clusters(300, 1, classes=1),
        clusters(10, 10, size_px=0),
    ],
    ids=["tiny", "one pile", "large", "ties", "apart", "zero size"],
)
def test_is_the_textbook_loop(detections: Detections, iou_threshold: float) -> None:
    assert_is_naive(detections, iou_threshold)


def test_pairs_are_taken_in_pieces_without_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nms_module, "_PAIRS_AT_ONCE", 50)
    assert_is_naive(clusters(5, 40, size_px=100, classes=2))


@pytest.mark.parametrize("class_id", [0, 300])
@pytest.mark.parametrize("iou_threshold", [0.3, 0.45, 0.6])
def test_a_box_at_the_very_threshold(iou_threshold: float, class_id: int) -> None:
    """The second box covers the threshold's share of the first, give or take the last bits of a float32."""
    random = np.random.default_rng(0)
    for _ in range(600):
        left, top, width, height = random.uniform(1, 40, 4).astype(np.float32)
        far = -np.float32(random.uniform(1, 60))
        start = np.float32(left + width * np.float32(1 - iou_threshold))
        for steps in range(-2, 3):
            covering = start + steps * np.spacing(start)
            boxes = [[left, top, left + width, top + height], [covering, top, left + width, top + height]]
            boxes.append([far, top, far + 1, top + 1])
            detections = Detections(
                boxes_xyxy_px=np.array(boxes, np.float32),
                scores=np.array([0.9, 0.8, 0.7], np.float32),
                class_ids=np.full(3, class_id),
            )
            assert_is_naive(detections, iou_threshold)


def test_boxes_turned_inside_out_touch_nobody() -> None:
    detections = clusters(10, 5)
    boxes = detections.boxes_xyxy_px.copy()
    boxes[::3] = boxes[::3][:, [2, 3, 0, 1]]
    assert_is_naive(Detections(boxes_xyxy_px=boxes, scores=detections.scores, class_ids=detections.class_ids))


def test_equal_boxes_with_equal_scores_leave_the_first() -> None:
    box = np.array([[10, 10, 20, 20]], np.float32).repeat(3, axis=0)
    detections = Detections(boxes_xyxy_px=box, scores=np.full(3, 0.5, np.float32), class_ids=np.array([0, 0, 1]))
    assert nms(detections, iou_threshold=0.5, max_detections=10).class_ids.tolist() == [0, 1]


@pytest.mark.parametrize("size_px", [1, 8000])
def test_boxes_of_other_classes_never_meet(size_px: int) -> None:
    """One box for each of a thousand classes, all at the same place."""
    boxes = np.tile(np.array([[0, 0, size_px, size_px]], np.float32), (1000, 1))
    detections = Detections(
        boxes_xyxy_px=boxes, scores=np.linspace(1, 0.5, 1000, dtype=np.float32), class_ids=np.arange(1000)
    )
    assert len(nms(detections, iou_threshold=0.0, max_detections=1500)) == 1000


def test_a_dropped_box_drops_nobody() -> None:
    """A chain: the second overlaps both others, which do not overlap each other."""
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    detections = Detections(boxes_xyxy_px=boxes, scores=scores, class_ids=np.zeros(3, np.int64))
    assert nms(detections, iou_threshold=0.3, max_detections=10).scores.tolist() == scores[[0, 2]].tolist()


def voted(detections: Detections, rank: int, iou_threshold: float) -> npt.NDArray[np.float64]:
    """The mean that the box with this rank and the worse ones it overlaps come to."""
    order = np.argsort(-detections.scores, kind="stable")
    box, class_id = detections.boxes_xyxy_px[order[rank]], detections.class_ids[order[rank]]
    voters = [order[rank]]
    for other in order[rank + 1 :]:
        if detections.class_ids[other] == class_id and exceeds(detections.boxes_xyxy_px[other], box, iou_threshold):
            voters.append(other)
    boxes = detections.boxes_xyxy_px[voters].astype(np.float64)
    return np.asarray(np.average(boxes, axis=0, weights=detections.scores[voters]))


@pytest.mark.parametrize("iou_threshold", [0.3, 0.6])
@pytest.mark.parametrize("detections", [clusters(40, 8), clusters(30, 8, score_steps=5)], ids=["tiny", "ties"])
def test_voting_moves_the_kept_boxes_only(detections: Detections, iou_threshold: float) -> None:
    positive = detections.select(detections.scores > 0)
    plain = nms(positive, iou_threshold=iou_threshold, max_detections=1500)
    result = nms(positive, iou_threshold=iou_threshold, max_detections=1500, box_voting=True)
    assert np.array_equal(result.scores, plain.scores)
    assert np.array_equal(result.class_ids, plain.class_ids)
    ranks = {index: rank for rank, index in enumerate(np.argsort(-positive.scores, kind="stable").tolist())}
    for box, kept in zip(result.boxes_xyxy_px, naive(positive, iou_threshold, 1500), strict=True):
        assert np.allclose(box, voted(positive, ranks[kept], iou_threshold), atol=1e-3)
    assert not np.array_equal(result.boxes_xyxy_px, plain.boxes_xyxy_px)


def test_a_lone_box_stays_whatever_its_score() -> None:
    boxes = np.array([[1, 2, 3, 4], [50, 50, 60, 60]], np.float32)
    alone = Detections(boxes_xyxy_px=boxes, scores=np.array([0.5, 0], np.float32), class_ids=np.zeros(2, np.int64))
    result = nms(alone, iou_threshold=0.5, max_detections=10, box_voting=True)
    assert np.allclose(result.boxes_xyxy_px, boxes)


def test_at_most_max_detections() -> None:
    assert_is_naive(clusters(60, 3), max_detections=20)


def test_at_most_max_detections_when_they_vote() -> None:
    all_of_them, best = (
        nms(clusters(60, 3), iou_threshold=0.5, max_detections=limit, box_voting=True) for limit in (1500, 20)
    )
    assert len(all_of_them) > len(best) == 20
    assert np.array_equal(best.boxes_xyxy_px, all_of_them.boxes_xyxy_px[:20])


def test_nothing_stays_nothing() -> None:
    assert len(nms(Detections.empty(), iou_threshold=0.5, max_detections=10)) == 0

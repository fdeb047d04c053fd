"""Area, intersection and IoU against counted pixels, for boxes of every kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.boxes import area, intersection, iou, size

SIDE_PX = 24


def pixels(box_xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The pixels that a box of whole numbers covers; none where it is turned inside out."""
    covered = np.zeros((SIDE_PX, SIDE_PX), bool)
    left, top, right, bottom = box_xyxy.astype(int).tolist()
    covered[top:bottom, left:right] = True
    return covered


def some_boxes(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Whole numbers in any order: a third of them have no area."""
    boxes = np.random.default_rng(seed).integers(0, SIDE_PX, (count, 4)).astype(np.float32)
    boxes[: 2 * count // 3, 2:] = np.maximum(boxes[: 2 * count // 3, 2:], boxes[: 2 * count // 3, :2])
    return boxes


def test_they_are_what_counting_pixels_gives() -> None:
    first, second = some_boxes(40, 0), some_boxes(30, 1)
    areas, shared, overlap = area(first), intersection(first[:, None], second), iou(first[:, None], second)
    assert (areas.shape, shared.shape, overlap.shape) == ((40,), (40, 30), (40, 30))
    for row, a in enumerate(first):
        assert areas[row] == pixels(a).sum()
        for column, b in enumerate(second):
            both, either = (pixels(a) & pixels(b)).sum(), (pixels(a) | pixels(b)).sum()
            assert shared[row, column] == both
            assert overlap[row, column] == pytest.approx(both / either if either else 0.0)
    assert np.allclose(size(first) ** 2, areas)
    assert 0 < (shared > 0).sum() < shared.size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_precision_of_the_boxes_is_kept_and_they_stay_as_they_are(dtype: npt.DTypeLike) -> None:
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6]], dtype)
    before = boxes.copy()
    for result in (area(boxes), size(boxes), intersection(boxes[:, None], boxes), iou(boxes[:, None], boxes)):
        assert result.dtype == dtype
    assert np.array_equal(boxes, before)
    assert iou(boxes[0], boxes[1]) == pytest.approx(4 / 28)


def test_no_boxes() -> None:
    none, some = np.zeros((0, 4), np.float32), some_boxes(3, 2)
    assert area(none).shape == (0,)
    assert iou(none[:, None], some).shape == (0, 3)
    assert iou(some[:, None], none).shape == (3, 0)

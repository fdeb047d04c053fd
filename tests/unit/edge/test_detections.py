from __future__ import annotations

import numpy as np
import pytest

from tinydet.edge.detections import Detections


def three() -> Detections:
    return Detections(
        boxes_xyxy_px=np.arange(12, dtype=np.float32).reshape(3, 4),
        scores=np.array([0.9, 0.5, 0.1], np.float32),
        class_ids=np.array([2, 0, 1]),
    )


def test_select_by_mask_positions_and_slice() -> None:
    assert three().select(three().scores > 0.3).class_ids.tolist() == [2, 0]
    assert three().select(np.array([2, 0])).class_ids.tolist() == [1, 2]
    assert three().select(slice(1)).class_ids.tolist() == [2]
    assert len(Detections.empty().select(slice(5))) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("boxes_xyxy_px", np.zeros((3, 5), np.float32)),
        ("boxes_xyxy_px", np.zeros((3, 4), np.float64)),
        ("scores", np.zeros(2, np.float32)),
        ("class_ids", np.zeros(3, np.int32)),
    ],
)
def test_wrong_shapes_and_dtypes_are_named(field: str, value: object) -> None:
    arrays = {name: getattr(three(), name) for name in ("boxes_xyxy_px", "scores", "class_ids")}
    with pytest.raises(ValueError, match=f"{field}: expected"):
        Detections(**(arrays | {field: value}))


def test_numbers_must_be_finite() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        Detections(
            boxes_xyxy_px=np.full((1, 4), np.nan, np.float32),
            scores=np.zeros(1, np.float32),
            class_ids=np.zeros(1, int),
        )

"""IDF1 of clips worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinydet.edge.evaluation.idf1 import Tracked, measure_identity


def seen(*objects: tuple[int, float]) -> Tracked:
    """Objects of 10x10 pixels: (identity, left)."""
    return Tracked(
        boxes_xyxy_px=np.array([[left, 0, left + 10, 10] for _, left in objects], np.float32).reshape(-1, 4),
        class_ids=np.zeros(len(objects), np.int64),
        identities=np.array([identity for identity, _ in objects], np.int64),
    )


def test_a_track_broken_in_two_by_hand() -> None:
    """Marked: A in 4 frames, B in 4. Found: A as 1 for 3 frames, then as 2; B as 3 in two frames, 50 px off in a third.

    IDTP = 3 (A with 1) + 2 (B with 3) = 5; marked 8, found 4 + 3 = 7: IDF1 = 10 / 15.
    """
    truth = seen((1, 0), (2, 100))
    clip = [
        (truth, seen((1, 0), (3, 101))),
        (truth, seen((1, 1), (3, 100))),
        (truth, seen((1, 0), (3, 150))),
        (truth, seen((2, 0))),
    ]
    score = measure_identity([clip])
    assert score.idf1 == pytest.approx(10 / 15)
    assert score.precision == pytest.approx(5 / 7)
    assert score.recall == pytest.approx(5 / 8)
    assert score.switches == 1


def test_identities_that_swap_count_half_and_switch_twice() -> None:
    truth = seen((1, 0), (2, 100))
    clip = [(truth, seen((7, 0), (8, 100)))] * 2 + [(truth, seen((8, 0), (7, 100)))] * 2
    score = measure_identity([clip])
    assert score.idf1 == pytest.approx(0.5)
    assert score.switches == 2


def test_the_assignment_is_global_not_frame_by_frame() -> None:
    """Found 5 follows A for one frame and B for three: it belongs to B."""
    clip = [(seen((1, 0)), seen((5, 0)))] + [(seen((2, 100)), seen((5, 100)))] * 3
    assert measure_identity([clip]).idf1 == pytest.approx(6 / 8)


def test_clips_share_no_identities() -> None:
    frame = (seen((1, 0)), seen((1, 0)))
    assert measure_identity([[frame], [(seen((1, 0)), seen((2, 0)))]]).idf1 == 1
    assert measure_identity([[frame], [(seen((1, 0)), seen((2, 0)))]]).switches == 0


def test_nothing_marked_or_found() -> None:
    assert measure_identity([[(seen(), seen())]]).idf1 is None
    assert measure_identity([[(seen((1, 0)), seen())]]).idf1 == 0
    assert measure_identity([[(seen(), seen((1, 0)))]]).recall is None

"""Objects keep their identities through fast motion, gaps, uneven frames and a camera that moves."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame
from tinydet.edge.tracking.association import similarity
from tinydet.edge.tracking.camera_motion import CameraMotion
from tinydet.edge.tracking.kalman import KalmanBoxes
from tinydet.edge.tracking.tracker import UNCONFIRMED, Tracker

GROUND = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (700, 900, 3)).astype(np.uint8), (0, 0), 2.5)


def ground(motion: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.uint8]:
    """(400, 500, 3) the middle of a textured plane, the camera moved."""
    middle = np.array([[1.0, 0, -200], [0, 1, -150]])
    if motion is not None:
        middle = np.column_stack([motion[:, :2], motion[:, :2] @ middle[:, 2] + motion[:, 2]])
    return np.asarray(cv2.warpAffine(GROUND, middle, (500, 400)), np.uint8)


STILL = ground()


def frame(time_s: float | None, image: npt.NDArray[np.uint8] = STILL, index: int = 0) -> Frame:
    return Frame(index=index, name="frame", image_rgb=image, time_s=time_s)


def cars(*centres: tuple[float, float], score: float = 0.9, class_id: int = 0) -> Detections:
    """Boxes of 10x8 pixels."""
    xy = np.array(centres, np.float32).reshape(-1, 2)
    return Detections(
        boxes_xyxy_px=np.concatenate([xy - [5, 4], xy + [5, 4]], axis=1).astype(np.float32),
        scores=np.full(len(xy), score, np.float32),
        class_ids=np.full(len(xy), class_id, np.int64),
    )


@pytest.mark.parametrize("fps", [2.0, 5.0, 10.0])
def test_two_columns_of_traffic_pass_each_other(fps: float) -> None:
    tracker = Tracker()
    for step in range(12):
        x = 40 * step / fps
        ids = tracker.update(cars((100 + x, 100), (140 + x, 100), (300 - x, 112), (340 - x, 112)), frame(step / fps))
        assert ids.tolist() == [1, 2, 3, 4], step


def test_frames_come_unevenly_and_some_are_missing() -> None:
    tracker = Tracker()
    for time_s in (0.0, 0.1, 0.2, 0.5, 0.6, 1.5, 1.55):
        ids = tracker.update(cars((50 + 60 * time_s, 100), (50 + 60 * time_s, 125)), frame(time_s))
        assert ids.tolist() == [1, 2], time_s


def test_an_object_out_of_sight_comes_back_as_itself_but_not_after_long() -> None:
    tracker = Tracker()
    for time_s in (0.0, 0.2, 0.4):
        tracker.update(cars((50 + 60 * time_s, 100)), frame(time_s))
    tracker.update(Detections.empty(), frame(1.0))
    assert tracker.update(cars((50 + 60 * 1.4, 100)), frame(1.4)).tolist() == [1]
    tracker.update(Detections.empty(), frame(5.0))
    tracker.update(cars((50 + 60 * 5.0, 100)), frame(5.0))
    assert tracker.update(cars((50 + 60 * 5.2, 100)), frame(5.2)).tolist() == [2]


def test_what_is_seen_once_has_no_identity_yet() -> None:
    tracker = Tracker()
    tracker.update(cars((50, 50)), frame(0.0))
    assert tracker.update(cars((50, 50), (200, 200)), frame(0.2)).tolist() == [1, UNCONFIRMED]
    assert tracker.update(cars((50, 50), (201, 200)), frame(0.4)).tolist() == [1, 2]


def test_a_second_box_on_an_object_starts_no_track() -> None:
    """What NMS left over: as sure as the others, at the first frame and later; neighbours side by side are none."""
    side_by_side, ghost, later = (50, 59), (53, 53), (150, 103)
    tracker = Tracker()
    ids = tracker.update(cars((50, 50), side_by_side, ghost, (150, 100)), frame(0.0))
    assert ids.tolist() == [1, 2, UNCONFIRMED, 3]
    for time_s in (0.2, 0.4, 0.6):
        ids = tracker.update(cars((50, 50), side_by_side, (150, 100), later, ghost), frame(time_s))
        assert ids.tolist() == [1, 2, 3, UNCONFIRMED, UNCONFIRMED], time_s


def test_a_low_score_keeps_a_track_and_starts_none() -> None:
    tracker = Tracker()
    tracker.update(cars((50, 50)), frame(0.0))
    for step in range(1, 4):
        ids = tracker.update(cars((50, 50), (200, 200), score=0.2), frame(0.2 * step))
        assert ids.tolist() == [1, UNCONFIRMED]


def test_the_camera_turns_and_shifts_and_nobody_is_confused() -> None:
    """The camera moves by more than the cars are apart; without its motion the row of cars would shift by one."""
    xy = np.array([(150 + 20 * index, 200) for index in range(8)], np.float64)
    tracker = Tracker()
    for step in range(6):
        angle = 0.01 * step
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        motion = np.column_stack([turn, [18.0 * step, -6.0 * step]])
        moved = xy @ turn.T + motion[:, 2]
        ids = tracker.update(cars(*map(tuple, moved.tolist())), frame(step / 5, ground(motion)))
        assert ids.tolist() == list(range(1, 9)), step


def test_camera_motion_is_found_to_a_fraction_of_a_pixel() -> None:
    camera = CameraMotion()
    assert np.array_equal(camera.since_last(STILL), np.eye(2, 3))
    angle, scale = 0.03, 1.02
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    motion = np.column_stack([turn, [14.0, -9.0]])
    found = camera.since_last(ground(motion))
    corners = np.array([[0, 0, 1], [500, 0, 1], [0, 400, 1], [500, 400, 1]], np.float64)
    assert np.abs(corners @ (found - motion).T).max() < 0.6


def test_a_frame_without_texture_or_of_another_size_moves_nothing() -> None:
    camera = CameraMotion()
    camera.since_last(STILL)
    assert np.array_equal(camera.since_last(STILL[:300]), np.eye(2, 3))
    assert np.array_equal(camera.since_last(np.zeros((300, 500, 3), np.uint8)), np.eye(2, 3))
    assert np.array_equal(camera.since_last(np.zeros((300, 500, 3), np.uint8)), np.eye(2, 3))


def test_two_short_steps_are_one_long_step() -> None:
    once, twice = KalmanBoxes(), KalmanBoxes()
    for boxes, steps in ((once, (0.5,)), (twice, (0.2, 0.3))):
        boxes.add(np.array([[10.0, 20, 8, 6]]))
        boxes.predict(0.2)
        boxes.correct(np.array([0]), np.array([[12.0, 20, 8, 6]]))
        for seconds in steps:
            boxes.predict(seconds)
    assert np.allclose(once.box, twice.box)
    assert np.allclose(once.centre_std_px, twice.centre_std_px, rtol=0.02)  # the size the noise is scaled by may drift


def test_boxes_that_miss_each_other_are_still_more_or_less_alike() -> None:
    box = np.array([[100.0, 100, 8, 8]])
    near, far = (similarity(box, np.zeros(1), box + np.array([[dx, 0, 0, 0]]))[0, 0] for dx in (9.0, 20.0))
    assert 1 > near > far > 0
    assert similarity(box, np.zeros(1), box)[0, 0] == pytest.approx(1)
    assert similarity(box, np.full(1, 10.0), box + np.array([[9.0, 0, 0, 0]]))[0, 0] > near


def test_a_video_that_starts_again_gets_new_identities() -> None:
    tracker = Tracker()
    assert tracker.update(cars((50, 50)), frame(3.0)).tolist() == [1]
    assert tracker.update(cars((50, 50)), frame(0.0)).tolist() == [2]


def test_stills_need_a_rate() -> None:
    with pytest.raises(ValueError, match="give the tracker frames_per_s"):
        Tracker().update(cars((5, 5)), frame(None))
    with pytest.raises(ValueError, match="above 0"):
        Tracker(frames_per_s=0)
    tracker = Tracker(frames_per_s=4)
    for index in range(3):
        assert tracker.update(cars((50 + 10 * index, 50)), frame(None, index=index)).tolist() == [1]


@pytest.mark.parametrize("clock", [[0.0] * 200, [5.0] * 200, [float("nan")] * 200])
def test_tracks_age_in_frames_whose_clock_stands_still(clock: list[float]) -> None:
    tracker = Tracker(frames_per_s=10.0)
    frames = [frame(time_s, index=index) for index, time_s in enumerate(clock)]
    assert tracker.update(cars((100, 100)), frames[0]).tolist() == [1]
    assert tracker.update(cars((102, 100)), frames[1]).tolist() == [1]
    for empty in frames[2:50]:
        tracker.update(Detections.empty(), empty)
    assert len(tracker._boxes) == 0
    tracker.update(cars((104, 100)), frames[50])
    assert tracker.update(cars((104, 100)), frames[51]).tolist() == [2]


@pytest.mark.parametrize("time_s", [-3.7e17, 1e300])
def test_a_clock_that_jumps_far_starts_anew(time_s: float) -> None:
    tracker = Tracker(frames_per_s=10.0)
    assert tracker.update(cars((100, 100)), frame(0.0)).tolist() == [1]
    assert tracker.update(cars((100, 100)), frame(time_s)).tolist() == [2]

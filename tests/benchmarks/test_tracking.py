"""What tracking costs a frame: the tracker by number of objects, and camera motion in full HD."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame
from tinydet.edge.tracking.camera_motion import CameraMotion
from tinydet.edge.tracking.tracker import Tracker


@pytest.mark.parametrize("count", [100, 500])
def test_tracker(benchmark: BenchmarkFixture, count: int) -> None:
    """Without the camera: on frames that show nothing."""
    rng = np.random.default_rng(0)
    left_top = rng.uniform(0, 1000, (count, 2))
    tracker, blank = Tracker(), np.zeros((64, 64, 3), np.uint8)
    detections = Detections(
        boxes_xyxy_px=np.concatenate([left_top, left_top + 12], axis=1).astype(np.float32),
        scores=np.full(count, 0.9, np.float32),
        class_ids=np.zeros(count, np.int64),
    )
    times_s = iter(range(1_000_000))

    def update() -> None:
        tracker.update(detections, Frame(index=0, name="", image_rgb=blank, time_s=next(times_s) / 10))

    benchmark(update)


def test_camera_motion(benchmark: BenchmarkFixture, frame_rgb: npt.NDArray[np.uint8]) -> None:
    camera = CameraMotion()
    moved = np.ascontiguousarray(np.roll(frame_rgb, (6, 10), axis=(0, 1)))
    frames = iter([frame_rgb, moved] * 1_000_000)
    benchmark(lambda: camera.since_last(next(frames)))

"""Results of a camera with a moving square in view, for the tests of the live page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from tinydet.edge.detection.detector import StageTimes
from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame
from tinydet.edge.stream.frame_result import FrameResult

NAMES = ("car", "person")


def result(index: int = 0, size_wh: tuple[int, int] = (320, 240)) -> FrameResult:
    """One car, two persons; everything moves with the index."""
    width, height = size_wh
    image = np.full((height, width, 3), 60, np.uint8)
    left = 40 + index * 7 % (width - 100)
    image[height // 2 : height // 2 + 40, left : left + 40] = (250, 250, 250)
    return FrameResult(
        frame=Frame(index=index, name=f"{index}", image_rgb=image, time_s=None),
        detections=Detections(
            boxes_xyxy_px=np.array([[left, 100, left + 20, 120]] * 3, np.float32),
            scores=np.full(3, 0.5, np.float32),
            class_ids=np.array([0, 1, 1]),
        ),
        track_ids=np.array([5, 6, -1]),
        times=StageTimes(pre_ms=1.0, infer_ms=20.0 + index % 2, post_ms=2.0),
        age_ms=30.0,
        dropped=index // 10,
    )


@contextmanager
def feeding(write: Callable[[FrameResult], None], every_s: float = 0.03) -> Iterator[threading.Event]:
    """Writes results from a thread until the block ends, or the event is set."""
    stop = threading.Event()

    def feed() -> None:
        index = 0
        while not stop.wait(every_s):
            write(result(index))
            index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()

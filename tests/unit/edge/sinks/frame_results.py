"""Results as sinks get them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinydet.edge.detection.detector import StageTimes
from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame, Source
from tinydet.edge.stream.frame_result import FrameResult

TIMES = StageTimes(pre_ms=0.5, infer_ms=20.25, post_ms=0.25)
FOUND = Detections(
    boxes_xyxy_px=np.array([[10, 20, 14.5, 28.256]], np.float32),
    scores=np.array([0.87654], np.float32),
    class_ids=np.array([1]),
)
NAMES = ("car", "person")


class Recorded(Source):
    """A source that is only a name."""

    def __init__(self, name: str, *, is_live: bool = False) -> None:
        self.name = name
        self.is_live = is_live
        self.frame_count = None
        self.frames_per_s = 10.0

    def __iter__(self) -> Iterator[Frame]:
        return iter(())


def result(
    index: int,
    name: str = "a.png",
    *,
    found: Detections = FOUND,
    captured_s: float | None = None,
    size_wh: tuple[int, int] = (64, 48),
    track_ids: list[int] | None = None,
    noise: bool = False,
) -> FrameResult:
    """A grey frame a tenth of a second after the one before."""
    image_rgb = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    if noise:
        image_rgb = np.random.default_rng(index).integers(0, 256, image_rgb.shape).astype(np.uint8)
    return FrameResult(
        frame=Frame(index=index, name=name, image_rgb=image_rgb, time_s=index / 10, captured_s=captured_s),
        detections=found,
        track_ids=None if track_ids is None else np.array(track_ids),
        times=TIMES,
        age_ms=None if captured_s is None else 30.0,
        dropped=0 if captured_s is None else 7,
    )

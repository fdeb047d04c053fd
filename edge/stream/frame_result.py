"""`FrameResult`: a frame and its detections, as the pipeline gives them to sinks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydet.edge.detection.detector import StageTimes
from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameResult:
    """One frame with its detections."""

    frame: Frame
    detections: Detections
    track_ids: npt.NDArray[np.int64] | None
    """(N,) identity of each detection, -1 for one without a track yet; None without a tracker."""
    times: StageTimes
    age_ms: float | None
    """Milliseconds from capture to the end of postprocessing; None for files."""
    dropped: int
    """Frames of a live source dropped so far, to keep up with it."""

"""What the pipeline hands to sinks: a frame and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydet.edge.detection.detector import StageTimes
from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameResult:
    """One frame through the pipeline."""

    frame: Frame
    detections: Detections
    track_ids: npt.NDArray[np.int64] | None
    """(N,) identity of each detection, -1 for one that belongs to no track yet; None where nothing tracks."""
    times: StageTimes
    age_ms: float | None
    """From capture to the end of postprocessing; None for files."""
    dropped: int
    """Frames of a live source left out so far, to stay fresh."""

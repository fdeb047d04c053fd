"""Compute the numbers of the live page from the newest results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydet.edge.detection.detector import StageTimes
from tinydet.edge.files.printable import printable
from tinydet.edge.sinks.drawing import class_color_rgb
from tinydet.edge.stream.frame_result import FrameResult
from tinydet.edge.temperature import warmest_c

KEPT_FRAMES = 300
RATE_OVER_S = 5.0
LOST_AFTER_S = 3.0
"""Minimum seconds without a frame, and at least three frame intervals, before the source counts as lost."""

STAGES = ("pre", "infer", "post", "total")


@dataclass(frozen=True, kw_only=True)
class _Passed:
    arrived_s: float
    times: StageTimes


class LiveStatus:
    """Rates, times and counts of the last `KEPT_FRAMES` results. Not thread-safe.

    Args:
        class_names: class names of the model.
        read_temperature_c: returns the board's temperature in degrees Celsius, None without a sensor.
    """

    def __init__(self, class_names: Sequence[str], read_temperature_c: Callable[[], float | None] = warmest_c) -> None:
        self._class_names = class_names
        self.read_temperature_c = read_temperature_c
        self._started_s = time.monotonic()
        self._passed: deque[_Passed] = deque(maxlen=KEPT_FRAMES)
        self._frames = 0
        self._last: FrameResult | None = None

    def add(self, result: FrameResult) -> None:
        """Add a new result."""
        self._passed.append(_Passed(arrived_s=time.monotonic(), times=result.times))
        self._frames += 1
        self._last = result

    def report(self) -> dict[str, Any]:
        """Values for JSON: state (waiting, running, lost), rates, times, and the objects in the newest frame.

        Unknown values are None, never 0.
        """
        now = time.monotonic()
        last = self._last
        report: dict[str, Any] = {
            "state": "waiting",
            "uptime_s": round(now - self._started_s, 1),
            "frames": self._frames,
            "fps": None,
            "latency_ms": None,
            "age_ms": None,
            "dropped": None,
            "silent_s": None,
            "image_wh": None,
            "tracks": None,
            "classes": [],
        }
        if last is None:
            return report
        height, width = last.frame.image_rgb.shape[:2]
        silent_s = now - self._passed[-1].arrived_s
        counts = np.bincount(last.detections.class_ids, minlength=len(self._class_names)).tolist()
        tracks = last.track_ids
        lost = silent_s > max(LOST_AFTER_S, 3 * self._typical_interval_s())
        report |= {
            "state": "lost" if lost else "running",
            "fps": None if lost else self._frames_per_s(now),
            "latency_ms": self._latency_ms(),
            "age_ms": None if last.age_ms is None else round(last.age_ms, 1),
            "dropped": last.dropped,
            "silent_s": round(silent_s, 1),
            "image_wh": [width, height],
            "tracks": None if tracks is None else len(np.unique(tracks[tracks >= 0])),
            "classes": [
                {"name": printable(name), "count": count, "rgb": class_color_rgb(class_id)}
                for class_id, (name, count) in enumerate(zip(self._class_names, counts, strict=True))
            ],
        }
        return report

    def _frames_per_s(self, now: float) -> float | None:
        recent = [passed.arrived_s for passed in self._passed if passed.arrived_s > now - RATE_OVER_S]
        if len(recent) < 2:
            recent = [passed.arrived_s for passed in list(self._passed)[-2:]]
        return round((len(recent) - 1) / (recent[-1] - recent[0]), 2) if len(recent) > 1 else None

    def _typical_interval_s(self) -> float:
        arrived = [passed.arrived_s for passed in self._passed]
        return float(np.median(np.diff(arrived))) if len(arrived) > 1 else 0.0

    def _latency_ms(self) -> dict[str, dict[str, float]]:
        latency_ms: dict[str, dict[str, float]] = {}
        for stage in STAGES:
            values = [getattr(passed.times, f"{stage}_ms") for passed in self._passed]
            p50, p95 = np.percentile(values, (50, 95))
            latency_ms[stage] = {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}
        return latency_ms

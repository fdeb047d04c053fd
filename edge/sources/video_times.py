"""Times of a video's frames: the container's where they can be right, else from the frame rate."""

from __future__ import annotations

import math

HIGHEST_FRAMES_PER_S = 1000.0
"""A stated rate above this is a time base (90000) or nonsense."""
_LATE_S = 1.0
"""Tolerated beyond twice the video's length, which is an estimate for a varying frame rate."""


def plausible_rate(frames_per_s: float) -> float | None:
    """`frames_per_s` if it can be a frame rate; None for 0, NaN, infinity and time bases."""
    return float(frames_per_s) if 0 < frames_per_s <= HIGHEST_FRAMES_PER_S else None


class FrameTimes:
    """Seconds since the start for each frame, strictly rising.

    Stated times are used up to the first one that cannot be right: not finite, far from 0 at the first frame, not
    rising, or far beyond the video's length. From there on frames follow each other at the frame rate. Without a frame
    rate such frames have no time.

    Args:
        frames_per_s: the video's frame rate; None if it is unknown.
        frame_count: the video's number of frames; None if it is unknown.
    """

    def __init__(self, frames_per_s: float | None, frame_count: int | None) -> None:
        self._interval_s = None if frames_per_s is None else 1 / frames_per_s
        self._latest_s = math.inf
        if self._interval_s is not None and frame_count is not None:
            self._latest_s = 2 * frame_count * self._interval_s + _LATE_S
        self._is_trusted = True
        self._last: tuple[int, float] | None = None

    def time_s(self, index: int, stated_s: float) -> float | None:
        """Time of frame `index`, which the container places at `stated_s`; None if it is unknown."""
        self._is_trusted = self._is_trusted and self._can_be_right(stated_s)
        if self._is_trusted:
            time_s = stated_s
        elif self._interval_s is None:
            return None
        elif self._last is None:
            time_s = index * self._interval_s
        else:
            last_index, last_s = self._last
            time_s = last_s + (index - last_index) * self._interval_s
        self._last = index, time_s
        return time_s

    def _can_be_right(self, stated_s: float) -> bool:
        if not math.isfinite(stated_s) or stated_s > self._latest_s:
            return False
        if self._last is None:  # some containers place frames by the order of decoding: the first comes too late
            return 0 <= stated_s <= 1.5 * (self._interval_s or _LATE_S)
        return stated_s > self._last[1]

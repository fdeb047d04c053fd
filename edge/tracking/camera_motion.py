"""Camera motion between two frames, from the ground that both show."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_LONG_SIDE_PX = 640
"""Long side at which frames are compared: the ground moves as a whole, so full resolution is not needed."""
_MAX_CORNERS = 300
_MIN_INLIERS = 12
_WINDOW_PX = (21, 21)
_PYRAMID_LEVELS = 4
_INLIER_PX = 1.0
_MAX_SCALE_CHANGE = 1.3
_MIN_RESPONSE = 0.1
"""Minimum response of the phase correlation, 0 to 1, for a common shift."""


class CameraMotion:
    """Follows corners of the ground from frame to frame."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.uint8] | None = None

    def since_last(self, image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Estimate the transform (2, 3) that turns, scales and shifts pixels of the last frame into those of this one.

        Identity for the first frame, for a frame of another size, and where too few corners are found again.
        """
        height, width = image_rgb.shape[:2]
        shrink = min(1.0, _LONG_SIDE_PX / max(height, width))
        size_wh = max(1, round(width * shrink)), max(1, round(height * shrink))
        small = cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_LINEAR if shrink > 0.5 else cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        last, self._last = self._last, grey
        if last is None or last.shape != grey.shape:
            return np.eye(2, 3)
        motion = _motion(last, grey)
        motion[:, 2] *= width / size_wh[0]
        return motion


def _motion(last: npt.NDArray[np.uint8], grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    still = np.eye(2, 3)
    corners = cv2.goodFeaturesToTrack(last, _MAX_CORNERS, qualityLevel=0.01, minDistance=8)
    if corners is None or len(corners) < _MIN_INLIERS:  # type: ignore[redundant-expr]  # None where all is flat
        return still
    # The overall shift first, so that a corner is found again that moved farther than its window.
    shift_px = _shift(last, grey)
    guess = corners + np.array(shift_px, np.float32)
    found, is_found, _ = cv2.calcOpticalFlowPyrLK(
        last, grey, corners, guess, winSize=_WINDOW_PX, maxLevel=_PYRAMID_LEVELS, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    seen = is_found.ravel() == 1
    if seen.sum() < _MIN_INLIERS:
        return still
    motion, is_inlier = cv2.estimateAffinePartial2D(
        corners[seen], found[seen], method=cv2.RANSAC, ransacReprojThreshold=_INLIER_PX
    )
    if motion is None or is_inlier.sum() < _MIN_INLIERS:
        return still
    scale = float(np.sqrt(abs(np.linalg.det(motion[:, :2]))))
    return np.asarray(motion, np.float64) if 1 / _MAX_SCALE_CHANGE < scale < _MAX_SCALE_CHANGE else still


def _shift(last: npt.NDArray[np.uint8], grey: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Estimate the shift of the whole image by phase correlation, pixels; (0, 0) where the response is too weak."""
    height, width = grey.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    shift_px, response = cv2.phaseCorrelate(last.astype(np.float32), grey.astype(np.float32), window)
    return (shift_px[0], shift_px[1]) if response > _MIN_RESPONSE else (0.0, 0.0)

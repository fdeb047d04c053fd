"""A Kalman filter for many boxes at once, with time steps of any length.

Centre and size move at constant velocity, disturbed by white noise in the acceleration (Bar-Shalom et al., "Estimation
with Applications to Tracking and Navigation", 2001, section 6.2): two short steps equal one long one, so dropped frames
need no special case. All noise is proportional to the object's size, the square root of its area. Noise is the same
along x and y, so the four coordinates are filtered separately, and rotating the image keeps their variances.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Of centre x, centre y, width, height, in object sizes.
_MEASUREMENT_STD = np.array([0.08, 0.08, 0.15, 0.15])
_START_VELOCITY_STD = np.array([4.0, 4.0, 0.1, 0.1])
"""Per second; a car of 3 m (square root of its area) in town drives up to 5 sizes a second."""
_ACCELERATION_DENSITY = np.array([2.0, 2.0, 0.05, 0.05])
"""Squared sizes / s^3."""
_MIN_SIDE_PX = 1.0


class KalmanBoxes:
    """The state of N boxes; starts empty."""

    def __init__(self) -> None:
        self.box = np.zeros((0, 4))
        """(N, 4) centre x, centre y, width, height in pixels."""
        self.velocity = np.zeros((0, 4))
        """(N, 4) pixels per second."""
        self._var = np.zeros((0, 4))
        self._covar = np.zeros((0, 4))
        self._velocity_var = np.zeros((0, 4))

    def __len__(self) -> int:
        return len(self.box)

    @property
    def size_px(self) -> Array:
        """Square root of the area (N,)."""
        return np.asarray(np.sqrt(self.box[:, 2] * self.box[:, 3]))

    @property
    def centre_std_px(self) -> Array:
        """Standard deviation of the centre along each axis (N,)."""
        return np.asarray(np.sqrt(self._var[:, 0]))

    def add(self, boxes_cxcywh: Array) -> None:
        """Append new boxes (M, 4) with unknown velocity, 0 at first."""
        size = np.sqrt(boxes_cxcywh[:, 2:3] * boxes_cxcywh[:, 3:4])
        zeros = np.zeros_like(boxes_cxcywh)
        self.box = np.concatenate([self.box, boxes_cxcywh])
        self.velocity = np.concatenate([self.velocity, zeros])
        self._var = np.concatenate([self._var, (size * _MEASUREMENT_STD) ** 2])
        self._covar = np.concatenate([self._covar, zeros])
        self._velocity_var = np.concatenate([self._velocity_var, (size * _START_VELOCITY_STD) ** 2])

    def keep(self, mask: npt.NDArray[np.bool_]) -> None:
        """Keep the boxes of the mask (N,), forget the others."""
        for name in ("box", "velocity", "_var", "_covar", "_velocity_var"):
            setattr(self, name, getattr(self, name)[mask])

    def predict(self, seconds: float) -> None:
        """Move all boxes forward in time."""
        noise = self.size_px[:, None] ** 2 * _ACCELERATION_DENSITY
        self.box = self.box + self.velocity * seconds
        self._var = self._var + 2 * seconds * self._covar + seconds**2 * self._velocity_var + noise * seconds**3 / 3
        self._covar = self._covar + seconds * self._velocity_var + noise * seconds**2 / 2
        self._velocity_var = self._velocity_var + noise * seconds
        self.box[:, 2:] = np.maximum(self.box[:, 2:], _MIN_SIDE_PX)

    def warp(self, motion: Array) -> None:
        """Apply the camera's motion (2, 3), which maps pixels of the last frame to the new one."""
        turn = motion[:, :2]
        scale = float(np.sqrt(abs(np.linalg.det(turn))))
        self.box = np.column_stack([self.box[:, :2] @ turn.T + motion[:, 2], self.box[:, 2:] * scale])
        self.velocity = np.column_stack([self.velocity[:, :2] @ turn.T, self.velocity[:, 2:] * scale])
        for name in ("_var", "_covar", "_velocity_var"):
            setattr(self, name, getattr(self, name) * scale**2)

    def correct(self, index: npt.NDArray[np.intp], boxes_cxcywh: Array) -> None:
        """Correct the boxes at `index` (M,) by the detected boxes (M, 4)."""
        size = np.sqrt(boxes_cxcywh[:, 2:3] * boxes_cxcywh[:, 3:4])
        surprise = boxes_cxcywh - self.box[index]
        var, covar = self._var[index], self._covar[index]
        total = var + (size * _MEASUREMENT_STD) ** 2
        gain, velocity_gain = var / total, covar / total
        self.box[index] += gain * surprise
        self.velocity[index] += velocity_gain * surprise
        self._var[index] = (1 - gain) * var
        self._covar[index] = (1 - gain) * covar
        self._velocity_var[index] -= velocity_gain * covar
        self.box[:, 2:] = np.maximum(self.box[:, 2:], _MIN_SIDE_PX)

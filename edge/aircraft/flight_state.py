"""Recent positions and attitudes from an autopilot, and the pose at the time of a frame."""

from __future__ import annotations

import bisect
import math
from collections import deque
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from tinydet.edge.aircraft.geolocation import Pose, Rotation

KEPT_S = 5.0
"""Seconds of messages to keep: the maximum age of a frame that gets a pose."""

STALE_S = 1.0
"""Maximum seconds between a frame and the nearest message; beyond that it has no pose."""

Vector = npt.NDArray[np.float64]


class History:
    """Samples of one kind of message, interpolated linearly; the caller chooses values for which that makes sense."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Vector]] = deque()
        """Time in seconds since the autopilot started, and values, of each message."""

    def add(self, time_s: float, values: Vector) -> None:
        """Add a sample; one that is not newer than the last is dropped."""
        if self._samples and time_s <= self._samples[-1][0]:
            return
        self._samples.append((time_s, values))
        while self._samples[0][0] < time_s - KEPT_S:
            self._samples.popleft()

    def clear(self) -> None:
        """Remove all samples."""
        self._samples.clear()

    def at(self, time_s: float) -> Vector | None:
        """Interpolate at a time, or take the nearest sample outside; None if that is more than `STALE_S` away."""
        if not self._samples:
            return None
        after = bisect.bisect_left(self._samples, time_s, key=itemgetter(0))
        left_s, left = self._samples[max(after - 1, 0)]
        right_s, right = self._samples[min(after, len(self._samples) - 1)]
        if min(abs(time_s - left_s), abs(time_s - right_s)) > STALE_S:
            return None
        if left is right:
            return left
        share = (time_s - left_s) / (right_s - left_s)
        blended: Vector = left + share * (right - left)
        return blended


class FlightState:
    """Recent messages of one vehicle.

    There are two clocks: the autopilot's, since its start, in its messages, and this computer's monotonic clock, in
    which frames are taken. Messages arrive late by the link's varying delay, so the smallest difference of the last
    seconds is the best estimate of the clocks' offset and is used for all messages.
    """

    def __init__(self) -> None:
        self._position = History()
        self._attitude = History()
        self._gimbal = History()
        self._delays: deque[tuple[float, float]] = deque()
        self._newest_boot_s = -math.inf
        self.ground_altitude_m: float | None = None
        """Altitude above mean sea level, in metres, of the ground that heights are measured from."""

    def add_position(
        self, time_boot_s: float, received_s: float, latitude_deg: float, longitude_deg: float, height_m: float
    ) -> None:
        """Add a position; `received_s` is this computer's `time.monotonic()`."""
        self._note_time(time_boot_s, received_s)
        # As a point on the unit sphere, which has no jump at 180 degrees of longitude.
        latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
        across = math.cos(latitude)
        point = [across * math.cos(longitude), across * math.sin(longitude), math.sin(latitude), height_m]
        self._position.add(time_boot_s, np.array(point))

    def add_attitude(self, time_boot_s: float, received_s: float, ned_from_body: Rotation) -> None:
        """Add the airframe's attitude."""
        self._note_time(time_boot_s, received_s)
        self._attitude.add(time_boot_s, ned_from_body.ravel())

    def add_gimbal(self, time_boot_s: float, received_s: float, ned_from_gimbal: Rotation) -> None:
        """Add the gimbal's attitude, from north."""
        self._note_time(time_boot_s, received_s)
        self._gimbal.add(time_boot_s, ned_from_gimbal.ravel())

    def pose_at(self, taken_s: float, *, of_gimbal: bool = False) -> Pose | None:
        """The pose when a frame was taken (`time.monotonic()`); None without messages within `STALE_S` of it."""
        if not self._delays:
            return None
        time_boot_s = taken_s - min(delay for _, delay in self._delays)
        position = self._position.at(time_boot_s)
        rotation = (self._gimbal if of_gimbal else self._attitude).at(time_boot_s)
        if position is None or rotation is None:
            return None
        x, y, z, height_m = position.tolist()
        return Pose(
            latitude_deg=math.degrees(math.atan2(z, math.hypot(x, y))),
            longitude_deg=math.degrees(math.atan2(y, x)),
            height_m=height_m,
            ned_from_body=_nearest_rotation(rotation.reshape(3, 3)),
        )

    def airframe_yaw_at(self, time_boot_s: float) -> float | None:
        """The airframe's yaw in radians from north, at a time of the autopilot's clock."""
        values = self._attitude.at(time_boot_s)
        return None if values is None else math.atan2(values[3], values[0])

    def _note_time(self, time_boot_s: float, received_s: float) -> None:
        if time_boot_s < self._newest_boot_s - KEPT_S:  # the autopilot was restarted
            for history in (self._position, self._attitude, self._gimbal):
                history.clear()
            self._delays.clear()
            self._newest_boot_s = -math.inf
        self._newest_boot_s = max(self._newest_boot_s, time_boot_s)
        self._delays.append((received_s, received_s - time_boot_s))
        while self._delays[0][0] < received_s - KEPT_S:
            self._delays.popleft()


def _nearest_rotation(matrix: Rotation) -> Rotation:
    """The rotation closest to a blend of two rotations, which is none itself (Higham 1989, the polar factor)."""
    left, _, right = np.linalg.svd(matrix)
    nearest: Rotation = left @ right
    return nearest

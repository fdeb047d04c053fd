"""What an autopilot said about position and attitude, and what that was at the moment a frame was taken."""

from __future__ import annotations

import bisect
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydet.edge.aircraft.geolocation import Pose, Rotation

KEPT_S = 5.0
"""How far back a frame may have been taken."""

STALE_S = 1.0
"""A frame further than this from the nearest message has no pose."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sample:
    """Times are seconds since the autopilot started."""

    time_s: float
    values: Vector


class History:
    """Samples of one message, interpolated between neighbours; the caller chooses values for which that makes sense."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()

    def add(self, time_s: float, values: Vector) -> None:
        """Samples come in the order of their times; one that is not newer is left out."""
        if self._samples and time_s <= self._samples[-1].time_s:
            return
        self._samples.append(_Sample(time_s=time_s, values=values))
        while self._samples[0].time_s < time_s - KEPT_S:
            self._samples.popleft()

    def clear(self) -> None:
        """Forget everything."""
        self._samples.clear()

    def at(self, time_s: float) -> Vector | None:
        """Linear between the samples around that time, the nearest one outside; None further than `STALE_S` from it."""
        if not self._samples:
            return None
        after = bisect.bisect_left([sample.time_s for sample in self._samples], time_s)
        left = self._samples[max(after - 1, 0)]
        right = self._samples[min(after, len(self._samples) - 1)]
        if min(abs(time_s - left.time_s), abs(time_s - right.time_s)) > STALE_S:
            return None
        if left is right:
            return left.values
        share = (time_s - left.time_s) / (right.time_s - left.time_s)
        blended: Vector = left.values + share * (right.values - left.values)
        return blended


class FlightState:
    """The recent past of one vehicle.

    Two clocks meet here: the autopilot's, milliseconds since its start, stamped on its messages, and this computer's
    monotonic one, in which frames are taken. A message arrives late by the link's delay, which varies; the least
    difference seen lately is the one with the least delay, so all stamps are moved by that one.
    """

    def __init__(self) -> None:
        self._position = History()
        self._attitude = History()
        self._gimbal = History()
        self._delays: deque[tuple[float, float]] = deque()
        self._newest_boot_s = -math.inf
        self.ground_altitude_m: float | None = None
        """Above mean sea level, of the place that heights are counted from."""

    def add_position(
        self, time_boot_s: float, received_s: float, latitude_deg: float, longitude_deg: float, height_m: float
    ) -> None:
        """`received_s` is this computer's `time.monotonic()`."""
        self._note_time(time_boot_s, received_s)
        # On the sphere's surface in space: no jump at 180 degrees of longitude.
        latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
        across = math.cos(latitude)
        point = [across * math.cos(longitude), across * math.sin(longitude), math.sin(latitude), height_m]
        self._position.add(time_boot_s, np.array(point))

    def add_attitude(self, time_boot_s: float, received_s: float, ned_from_body: Rotation) -> None:
        """Of the airframe."""
        self._note_time(time_boot_s, received_s)
        self._attitude.add(time_boot_s, ned_from_body.ravel())

    def add_gimbal(self, time_boot_s: float, received_s: float, ned_from_gimbal: Rotation) -> None:
        """Of the gimbal, against north."""
        self._note_time(time_boot_s, received_s)
        self._gimbal.add(time_boot_s, ned_from_gimbal.ravel())

    def pose_at(self, taken_s: float, *, of_gimbal: bool = False) -> Pose | None:
        """The pose when a frame was taken (`time.monotonic()`); None without messages of about that time."""
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
        """Radians from north, at a time of the autopilot's clock."""
        values = self._attitude.at(time_boot_s)
        return None if values is None else math.atan2(values[3], values[0])

    def _note_time(self, time_boot_s: float, received_s: float) -> None:
        if time_boot_s < self._newest_boot_s - KEPT_S:  # it started anew
            for history in (self._position, self._attitude, self._gimbal):
                history.clear()
            self._delays.clear()
            self._newest_boot_s = -math.inf
        self._newest_boot_s = max(self._newest_boot_s, time_boot_s)
        self._delays.append((received_s, received_s - time_boot_s))
        while self._delays[0][0] < received_s - KEPT_S:
            self._delays.popleft()


def _nearest_rotation(matrix: Rotation) -> Rotation:
    """A blend of two rotations is none; this is the closest one (Higham 1989, the polar factor)."""
    left, _, right = np.linalg.svd(matrix)
    nearest: Rotation = left @ right
    return nearest

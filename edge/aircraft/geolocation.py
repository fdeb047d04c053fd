"""Where on the ground a pixel lies: pinhole camera, attitude of the aircraft, flat ground, WGS-84.

Frames: image (x right, y down, pixels), camera (x right, y down, z forward), body (x forward, y right, z down), and
NED (north, east, down) at the aircraft. Angles turn about z (yaw), then y (pitch), then x (roll), as in MAVLink.

What the position is off by grows with the height and as the ray gets flatter; `ground_error_m` is the formula, and
docs/geolocation.md prints it as a table. Terrain that is dz above the ground assumed shifts a point by
dz / tan(depression) towards the camera. The Earth's curvature is left out (8 cm at 1 km), and so is the ground's height
above the ellipsoid (0.016 % of the distance for each kilometre).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.settings import parse_settings, read_toml

WGS84_SEMI_MAJOR_AXIS_M = 6378137.0
WGS84_ECCENTRICITY_SQUARED = 6.69437999014e-3

_CAMERA_TO_BODY = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""A camera mounted with all angles zero looks along the nose, its picture upright."""

_DISTORTION_COEFFICIENTS = (0, 4, 5, 8)
"""How many `cv2.undistortPoints` takes: none, k1 k2 p1 p2, and k3, and k4 k5 k6."""

Rotation = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The `camera` table of a settings file: lens and mounting."""

    image_wh_px: tuple[int, int]
    """Size of the images that the camera was calibrated with; frames of another size are scaled to it."""
    fx_px: float
    """Focal length in pixels, across."""
    fy_px: float
    """Focal length in pixels, down."""
    cx_px: float
    """Principal point, counted as boxes are: the middle of the top left pixel is (0.5, 0.5). OpenCV's calibration says
    (0, 0) there: add half a pixel to its cx and cy."""
    cy_px: float
    distortion: tuple[float, ...] = ()
    """k1 k2 p1 p2 [k3 [k4 k5 k6]] as OpenCV's calibration gives them; empty for an undistorted image."""
    mounted_on: str = "airframe"
    """`airframe`: the angles below turn it from the nose. `gimbal`: they turn it from the gimbal's attitude."""
    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    """-90 looks straight down with the picture's top towards the nose."""
    yaw_deg: float = 0.0
    attitude_error_deg: float = 1.0
    """What the attitude, mounting included, may be off by. A ray less than that below the horizon has no position."""
    height_error_m: float = 2.0
    """What the height above ground may be off by, terrain included."""

    def __post_init__(self) -> None:
        if min(self.image_wh_px) < 1:
            raise InputError(f"camera.image_wh_px: expected two sizes above 0, got {list(self.image_wh_px)}")
        for name in ("fx_px", "fy_px", "attitude_error_deg", "height_error_m"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"camera.{name}: expected a number above 0, got {value}")
        for name in ("cx_px", "cy_px", "roll_deg", "pitch_deg", "yaw_deg"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"camera.{name}: expected a finite number, got {getattr(self, name)}")
        if len(self.distortion) not in _DISTORTION_COEFFICIENTS or not all(map(math.isfinite, self.distortion)):
            raise InputError(f"camera.distortion: expected 0, 4, 5 or 8 numbers, got {list(self.distortion)}")
        if self.mounted_on not in ("airframe", "gimbal"):
            raise InputError(f"camera.mounted_on: expected airframe or gimbal, got {self.mounted_on!r}")

    @property
    def body_from_camera(self) -> Rotation:
        """(3, 3) turns camera axes into those of what the camera is mounted on."""
        angles = (math.radians(angle) for angle in (self.roll_deg, self.pitch_deg, self.yaw_deg))
        turned: Rotation = rotation_from_euler(*angles) @ _CAMERA_TO_BODY
        return turned

    def rays(self, points_xy_px: npt.NDArray[np.float64], frame_wh_px: tuple[int, int]) -> npt.NDArray[np.float64]:
        """(N, 2) pixels of a frame -> (N, 3) camera directions with z = 1."""
        if len(points_xy_px) == 0:
            return np.zeros((0, 3))
        points = np.asarray(points_xy_px, np.float64) * np.divide(self.image_wh_px, frame_wh_px)
        matrix = np.array([[self.fx_px, 0, self.cx_px], [0, self.fy_px, self.cy_px], [0, 0, 1]], np.float64)
        if self.distortion:
            # OpenCV's default stops after 5 rounds, tenths of a pixel short at the corners of wide lenses.
            rounds = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
            coefficients = np.array(self.distortion)
            undistorted = cv2.undistortPointsIter(
                points[:, np.newaxis], matrix, coefficients, np.eye(3), np.eye(3), rounds
            )
            normalized = np.asarray(undistorted, np.float64)[:, 0]
        else:
            normalized = (points - (self.cx_px, self.cy_px)) / (self.fx_px, self.fy_px)
        return np.column_stack([normalized, np.ones(len(points))])


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """Where the camera's carrier is and how it is turned."""

    latitude_deg: float
    longitude_deg: float
    height_m: float
    """Above the ground, which is taken as flat."""
    ned_from_body: Rotation
    """(3, 3) attitude of what the camera is mounted on."""


@dataclass(frozen=True, kw_only=True)
class GroundPoint:
    """A point on the ground that a pixel shows."""

    latitude_deg: float
    longitude_deg: float
    north_m: float
    """From the aircraft."""
    east_m: float
    error_m: float
    """One standard deviation along the worse direction, see `ground_error_m`; without the position's own error."""


def locate_pixels(
    camera: Camera, pose: Pose, points_xy_px: npt.NDArray[np.float64], frame_wh_px: tuple[int, int]
) -> list[GroundPoint | None]:
    """Ground point of each of (N, 2) pixels of a frame of that size.

    None where the ray is at or above the horizon, or below it by no more than `camera.attitude_error_deg`, and for all
    of them where the height is not above zero.
    """
    if pose.height_m <= 0:
        return [None] * len(points_xy_px)
    directions = camera.rays(points_xy_px, frame_wh_px) @ (pose.ned_from_body @ camera.body_from_camera).T
    error_rad = math.radians(camera.attitude_error_deg)
    located: list[GroundPoint | None] = []
    for north, east, down in directions.tolist():
        depression_rad = math.atan2(down, math.hypot(north, east))
        if depression_rad <= error_rad:
            located.append(None)
            continue
        north_m, east_m = north / down * pose.height_m, east / down * pose.height_m
        latitude, longitude = offset_position(pose.latitude_deg, pose.longitude_deg, north_m, east_m)
        error_m = ground_error_m(pose.height_m, depression_rad, error_rad, camera.height_error_m)
        located.append(
            GroundPoint(latitude_deg=latitude, longitude_deg=longitude, north_m=north_m, east_m=east_m, error_m=error_m)
        )
    return located


def ground_error_m(height_m: float, depression_rad: float, attitude_error_rad: float, height_error_m: float) -> float:
    """Error along the ray's direction on flat ground, to first order.

    d = h / tan(depression), so |dd/d(depression)| = h / sin^2 and dd/dh = 1 / tan; the two are independent. Across the
    ray the attitude shifts a point by d times the error, which is always less.
    """
    from_attitude = height_m / math.sin(depression_rad) ** 2 * attitude_error_rad
    from_height = height_error_m / math.tan(depression_rad)
    return math.hypot(from_attitude, from_height)


def offset_position(latitude_deg: float, longitude_deg: float, north_m: float, east_m: float) -> tuple[float, float]:
    """Latitude and longitude in degrees of a point that far north and east, on the plane that touches WGS-84 there.

    Radii of curvature of the meridian, a (1 - e^2) / (1 - e^2 sin^2)^1.5, and of the prime vertical, a / (1 - e^2
    sin^2)^0.5 (NGA.STND.0036, section 4). Within 5 km and 70 degrees of latitude off by less than 10 m.
    """
    latitude = math.radians(latitude_deg)
    flattening = 1 - WGS84_ECCENTRICITY_SQUARED * math.sin(latitude) ** 2
    meridian_m = WGS84_SEMI_MAJOR_AXIS_M * (1 - WGS84_ECCENTRICITY_SQUARED) / flattening**1.5
    prime_vertical_m = WGS84_SEMI_MAJOR_AXIS_M / math.sqrt(flattening)
    longitude = longitude_deg + math.degrees(east_m / (prime_vertical_m * math.cos(latitude)))
    return latitude_deg + math.degrees(north_m / meridian_m), (longitude + 180) % 360 - 180


def rotation_from_euler(roll_rad: float, pitch_rad: float, yaw_rad: float) -> Rotation:
    """(3, 3) that turns body axes into the reference's: yaw about z, then pitch about y, then roll about x."""
    sr, cr = math.sin(roll_rad), math.cos(roll_rad)
    sp, cp = math.sin(pitch_rad), math.cos(pitch_rad)
    sy, cy = math.sin(yaw_rad), math.cos(yaw_rad)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


@dataclass(frozen=True, kw_only=True)
class _File:
    camera: Camera


def read_camera(path: Path) -> Camera:
    """The `camera` table of a TOML file. Raises `InputError` where it is missing or wrong."""
    return parse_settings(_File, read_toml(path), source=str(path)).camera

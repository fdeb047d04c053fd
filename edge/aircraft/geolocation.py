"""Locate pixels on the ground: pinhole camera, attitude of the aircraft, flat ground, WGS-84.

Frames: image (x right, y down, pixels), camera (x right, y down, z forward), body (x forward, y right, z down), and
NED (north, east, down) at the aircraft. Angles turn about z (yaw), then y (pitch), then x (roll), as in MAVLink.

The error of a position grows with the height and for flatter rays: `ground_error_m` is the formula, docs/geolocation.md
has a table. On terrain that is dz above the assumed ground, points are dz / tan(depression) too far from the camera.
Neglected are the Earth's curvature (8 cm at 1 km) and the ground's height above the ellipsoid (0.016 % of the distance
for each kilometre).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown
from tinydet.edge.files.schema import validated
from tinydet.edge.files.toml_file import read_toml

WGS84_SEMI_MAJOR_AXIS_M = 6378137.0
WGS84_ECCENTRICITY_SQUARED = 6.69437999014e-3

_CAMERA_TO_BODY = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""A camera with all mounting angles zero looks along the nose, with its image upright."""

MAX_DISTANCE_M = 100_000.0
"""Maximum distance of a point on the ground: beyond it a flat Earth is no approximation."""
MAX_LATITUDE_DEG = 89.9
"""Maximum latitude: nearer to a pole a degree of longitude has no length."""

_DISTORTION_COEFFICIENTS = (0, 4, 5, 8)
"""Numbers of coefficients that `cv2.undistortPoints` takes: none, k1 k2 p1 p2, also k3, also k4 k5 k6."""

MAX_SIDE_PX = 65535
_POSITIVE = {"fx_px": 1e6, "fy_px": 1e6, "attitude_error_deg": 90.0, "height_error_m": 1e4}
_SIGNED = {"cx_px": 1e6, "cy_px": 1e6, "roll_deg": 360.0, "pitch_deg": 360.0, "yaw_deg": 360.0}
"""Largest values of the camera's settings."""

Rotation = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The `camera` table of a settings file: lens and mounting."""

    image_wh_px: tuple[int, int]
    """Size of the images of the calibration; frames of another size are scaled to it."""
    fx_px: float
    """Horizontal focal length in pixels."""
    fy_px: float
    """Vertical focal length in pixels."""
    cx_px: float
    """Principal point in the coordinates of boxes: the centre of the top left pixel is (0.5, 0.5). OpenCV's calibration
    has (0, 0) there: add half a pixel to its cx and cy."""
    cy_px: float
    distortion: tuple[float, ...] = ()
    """Coefficients k1 k2 p1 p2 [k3 [k4 k5 k6]] of OpenCV's calibration; empty for an undistorted image."""
    mounted_on: str = "airframe"
    """`airframe` or `gimbal`: the part whose attitude the angles below are added to."""
    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    """-90 looks straight down, with the image's top towards the nose."""
    yaw_deg: float = 0.0
    attitude_error_deg: float = 1.0
    """Standard error of the attitude, mounting included. A ray less than that below the horizon has no position."""
    height_error_m: float = 2.0
    """Standard error of the height above ground, terrain included."""

    def __post_init__(self) -> None:
        if not all(1 <= side <= MAX_SIDE_PX for side in self.image_wh_px):
            raise InputError(
                f"camera.image_wh_px: expected two sizes from 1 to {MAX_SIDE_PX}, got {shown(list(self.image_wh_px))}"
            )
        for name, limit in _POSITIVE.items():
            value = getattr(self, name)
            if not 0 < value <= limit:
                raise InputError(f"camera.{name}: expected a number above 0, up to {limit:g}, got {shown(value)}")
        for name, limit in _SIGNED.items():
            value = getattr(self, name)
            if not abs(value) <= limit:
                raise InputError(
                    f"camera.{name}: expected a finite number, -{limit:g} to {limit:g}, got {shown(value)}"
                )
        if len(self.distortion) not in _DISTORTION_COEFFICIENTS or not all(abs(k) <= 1e6 for k in self.distortion):
            raise InputError(f"camera.distortion: expected 0, 4, 5 or 8 numbers, got {shown(list(self.distortion))}")
        if self.mounted_on not in ("airframe", "gimbal"):
            raise InputError(f"camera.mounted_on: expected airframe or gimbal, got {self.mounted_on!r}")

    @property
    def body_from_camera(self) -> Rotation:
        """Rotation (3, 3) from camera axes to those of the airframe or gimbal."""
        angles = (math.radians(angle) for angle in (self.roll_deg, self.pitch_deg, self.yaw_deg))
        turned: Rotation = rotation_from_euler(*angles) @ _CAMERA_TO_BODY
        return turned

    def rays(self, points_xy_px: npt.NDArray[np.float64], frame_wh_px: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Directions (N, 3) in camera axes, with z = 1, of pixels (N, 2) of a frame."""
        if len(points_xy_px) == 0:
            return np.zeros((0, 3))
        points = np.asarray(points_xy_px, np.float64) * np.divide(self.image_wh_px, frame_wh_px)
        matrix = np.array([[self.fx_px, 0, self.cx_px], [0, self.fy_px, self.cy_px], [0, 0, 1]], np.float64)
        if self.distortion:
            # OpenCV's default of 5 iterations is tenths of a pixel off at the corners of wide lenses.
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
    """Position and attitude of the part that carries the camera."""

    latitude_deg: float
    longitude_deg: float
    height_m: float
    """Height above the ground, which is assumed to be flat."""
    ned_from_body: Rotation
    """Attitude (3, 3) of the airframe or gimbal."""


@dataclass(frozen=True, kw_only=True)
class GroundPoint:
    """The point on the ground that a pixel shows."""

    latitude_deg: float
    longitude_deg: float
    north_m: float
    """Metres north of the aircraft."""
    east_m: float
    error_m: float
    """Standard deviation in the worse direction, see `ground_error_m`; without the aircraft's own position error."""


def locate_pixels(
    camera: Camera, pose: Pose, points_xy_px: npt.NDArray[np.float64], frame_wh_px: tuple[int, int]
) -> list[GroundPoint | None]:
    """Ground points of pixels (N, 2) of a frame of that size.

    None for a ray above the horizon or less than `camera.attitude_error_deg` below it, and for a point further than
    `MAX_DISTANCE_M`; all None near a pole and at a height of zero or below.
    """
    if pose.height_m <= 0 or abs(pose.latitude_deg) > MAX_LATITUDE_DEG:
        return [None] * len(points_xy_px)
    directions = camera.rays(points_xy_px, frame_wh_px) @ (pose.ned_from_body @ camera.body_from_camera).T
    error_rad = math.radians(camera.attitude_error_deg)
    located: list[GroundPoint | None] = []
    for north, east, down in directions.tolist():
        depression_rad = math.atan2(down, math.hypot(north, east))
        if not depression_rad > error_rad:  # also NaN, of a lens whose distortion cannot be undone
            located.append(None)
            continue
        north_m, east_m = north / down * pose.height_m, east / down * pose.height_m
        latitude, longitude = offset_position(pose.latitude_deg, pose.longitude_deg, north_m, east_m)
        if math.hypot(north_m, east_m) > MAX_DISTANCE_M or abs(latitude) > MAX_LATITUDE_DEG:
            located.append(None)
            continue
        error_m = ground_error_m(pose.height_m, depression_rad, error_rad, camera.height_error_m)
        located.append(
            GroundPoint(latitude_deg=latitude, longitude_deg=longitude, north_m=north_m, east_m=east_m, error_m=error_m)
        )
    return located


def ground_error_m(height_m: float, depression_rad: float, attitude_error_rad: float, height_error_m: float) -> float:
    """Standard error on flat ground along the ray's direction, to first order.

    d = h / tan(depression), so |dd/d(depression)| = h / sin^2 and dd/dh = 1 / tan; both errors are independent. Across
    the ray the attitude shifts a point by d times its error, which is always less.
    """
    from_attitude = height_m / math.sin(depression_rad) ** 2 * attitude_error_rad
    from_height = height_error_m / math.tan(depression_rad)
    return math.hypot(from_attitude, from_height)


def offset_position(latitude_deg: float, longitude_deg: float, north_m: float, east_m: float) -> tuple[float, float]:
    """Latitude and longitude in degrees of the point that many metres north and east, on WGS-84's tangent plane.

    Radii of curvature of the meridian, a (1 - e^2) / (1 - e^2 sin^2)^1.5, and of the prime vertical, a / (1 - e^2
    sin^2)^0.5 (NGA.STND.0036, section 4). The error is below 10 m within 5 km and 70 degrees of latitude.
    """
    latitude = math.radians(latitude_deg)
    flattening = 1 - WGS84_ECCENTRICITY_SQUARED * math.sin(latitude) ** 2
    meridian_m = WGS84_SEMI_MAJOR_AXIS_M * (1 - WGS84_ECCENTRICITY_SQUARED) / flattening**1.5
    prime_vertical_m = WGS84_SEMI_MAJOR_AXIS_M / math.sqrt(flattening)
    longitude = longitude_deg + math.degrees(east_m / (prime_vertical_m * math.cos(latitude)))
    return latitude_deg + math.degrees(north_m / meridian_m), (longitude + 180) % 360 - 180


def rotation_from_euler(roll_rad: float, pitch_rad: float, yaw_rad: float) -> Rotation:
    """Rotation (3, 3) from body axes to the reference's: yaw about z, then pitch about y, then roll about x."""
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
    """Read the `camera` table of a TOML file. Raises `InputError` when it is missing or wrong."""
    return validated(read_toml(path), _File, source=str(path)).camera

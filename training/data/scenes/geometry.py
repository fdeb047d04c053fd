"""Paths and outlines on the ground plane, in metres.

The layout frame has x to the right and y down, as an image has, so that a positive heading turns clockwise to the eye
and the right-hand side of a path lies at positive offsets. `Points` are float64 arrays of shape (K, 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Array = npt.NDArray[np.float64]
V = TypeVar("V", bound=np.generic)
Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Path:
    """A polyline in metres, parametrised by the distance along it."""

    points_m: Points

    @cached_property
    def distances_m(self) -> Array:
        """Distance of every vertex from the first one, (K,)."""
        steps_m = np.hypot(*np.diff(self.points_m, axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps_m)])

    @property
    def length_m(self) -> float:
        return float(self.distances_m[-1])

    @cached_property
    def _headings_rad(self) -> Array:
        gradient = np.gradient(self.points_m, axis=0)
        return np.unwrap(np.arctan2(gradient[:, 1], gradient[:, 0]))

    def at(self, distance_m: npt.ArrayLike) -> tuple[Points, Array]:
        """Positions (N, 2) and headings (N,) at N distances; beyond its ends the path goes straight on."""
        distance_m = np.atleast_1d(np.asarray(distance_m, np.float64))
        xy_m = np.stack([np.interp(distance_m, self.distances_m, self.points_m[:, axis]) for axis in (0, 1)], axis=-1)
        heading = np.interp(distance_m, self.distances_m, self._headings_rad)
        beyond_m = distance_m - np.clip(distance_m, 0.0, self.length_m)
        xy_m += beyond_m[:, None] * directions(heading)
        return xy_m, heading

    def offset(self, right_m: float) -> Path:
        """The path shifted to its right (negative: left)."""
        return Path(self.points_m + right_m * directions(self._headings_rad + np.pi / 2))

    def reversed(self) -> Path:
        return Path(self.points_m[::-1].copy())

    def strip(self, left_m: float, right_m: float) -> Points:
        """The closed outline between two offsets."""
        return np.concatenate([self.offset(left_m).points_m, self.offset(right_m).points_m[::-1]])

    def nearest(self, xy_m: Points) -> float:
        """Distance along the path of the vertex nearest to a point."""
        return float(self.distances_m[np.argmin(np.hypot(*(self.points_m - xy_m).T))])


def directions(heading_rad: npt.ArrayLike) -> Points:
    """Unit vectors (..., 2) of headings."""
    heading_rad = np.asarray(heading_rad, np.float64)
    vectors = np.empty((*heading_rad.shape, 2))
    vectors[..., 0], vectors[..., 1] = np.cos(heading_rad), np.sin(heading_rad)
    return vectors


def place(local_m: Points, centre_m: npt.ArrayLike, heading_rad: float) -> Points:
    """Local points (x forward, y right), turned to a heading and moved to a centre."""
    cos, sin = np.cos(heading_rad), np.sin(heading_rad)
    turned_m: Points = local_m @ np.array([[cos, sin], [-sin, cos]])
    return turned_m + np.asarray(centre_m, np.float64)


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    """The corners of an upright rectangle."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def rectangle(centre_m: npt.ArrayLike, heading_rad: float, length_m: float, width_m: float) -> Points:
    """The four corners of a rectangle, its length along the heading."""
    return place(box(-length_m / 2, -width_m / 2, length_m / 2, width_m / 2), centre_m, heading_rad)


def ellipse(centre_m: npt.ArrayLike, heading_rad: float, length_m: float, width_m: float, corners: int = 16) -> Points:
    """An ellipse as a polygon, its length along the heading."""
    circle = directions(np.arange(corners) * (2 * np.pi / corners))
    return place(circle * (length_m / 2, width_m / 2), centre_m, heading_rad)


def blob(rng: np.random.Generator, centre_m: npt.ArrayLike, radius_m: float, corners: int = 18) -> Points:
    """A round outline with a few random lobes."""
    angle = np.arange(corners) * (2 * np.pi / corners)
    phases = rng.uniform(0, 2 * np.pi, 3)
    lobes = sum(a * np.sin(k * angle + p) for k, a, p in zip((2, 3, 5), (0.2, 0.15, 0.08), phases, strict=True))
    around_m: Points = radius_m * (1 + np.asarray(lobes))[:, None] * directions(angle)
    return np.asarray(centre_m, np.float64) + around_m


def dashes(path: Path, *, right_m: float, width_m: float, on_m: float, off_m: float) -> list[Points]:
    """Quads of a dashed line along a path."""
    starts_m = np.arange(0.0, max(path.length_m - on_m, 0.1), on_m + off_m)
    line = path.offset(right_m)
    (first, h0), (last, h1) = line.at(starts_m), line.at(starts_m + on_m)
    n0, n1 = directions(h0 + np.pi / 2) * width_m / 2, directions(h1 + np.pi / 2) * width_m / 2
    return list(np.stack([first - n0, last - n1, last + n1, first + n0], axis=1))


def apply(matrix: Affine, points: Points) -> Points:
    """A 2x3 affine map applied to points (..., 2)."""
    mapped: Points = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def hull(points: Points) -> Points:
    """Convex hull of points (N, 2)."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float64)


def split(points: npt.NDArray[V], like: Sequence[Points]) -> list[npt.NDArray[V]]:
    """Split concatenated points into outlines of the lengths of `like`."""
    pieces, start = [], 0
    for outline in like:
        pieces.append(points[start : start + len(outline)])
        start += len(outline)
    return pieces

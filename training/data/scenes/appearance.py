"""Appearance of an object from above: flat layers by height, from the ground up.

Local frame: x forward, y to the right, metres, origin in the middle of the object. Each layer is drawn at its height,
so that a tilted camera shows a strip of the side, as it does in photographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tinydet.training.data.scenes.geometry import Points
from tinydet.training.data.scenes.palette import Colour

GLASS: Colour = (42, 47, 54)


@dataclass(frozen=True, eq=False)
class Layer:
    """One flat part of an object at one height."""

    outline_m: Points
    height_m: float
    colour: Colour
    is_body: bool = True
    """False for thin details, which do not widen the box."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance:
    """Appearance of an object: its layers from low to high, and its size."""

    class_id: int
    layers: tuple[Layer, ...]
    length_m: float
    width_m: float
    height_m: float

    @cached_property
    def outlines_m(self) -> list[Points]:
        return [layer.outline_m for layer in self.layers]

    @cached_property
    def points_m(self) -> Points:
        """The vertices of all layers, (P, 2)."""
        return np.concatenate(self.outlines_m)

    @cached_property
    def heights_m(self) -> Points:
        """The height of every vertex, (P,)."""
        return np.repeat([layer.height_m for layer in self.layers], [len(o) for o in self.outlines_m])

    @cached_property
    def is_body(self) -> npt.NDArray[np.bool_]:
        """Which vertices count for the box, (P,)."""
        return np.repeat([layer.is_body for layer in self.layers], [len(o) for o in self.outlines_m])


def rounded(x0: float, x1: float, half_front: float, half_rear: float, radius: float) -> Points:
    """Outline of a body with rounded corners: half widths at the front (x1) and rear (x0)."""
    radius = min(radius, half_front * 0.95, half_rear * 0.95)
    cut = 0.32 * radius
    return np.array([
        [x1, half_front - radius], [x1 - cut, half_front - cut], [x1 - radius, half_front],
        [x0 + radius, half_rear], [x0 + cut, half_rear - cut], [x0, half_rear - radius],
        [x0, radius - half_rear], [x0 + cut, cut - half_rear], [x0 + radius, -half_rear],
        [x1 - radius, -half_front], [x1 - cut, cut - half_front], [x1, radius - half_front],
    ])  # fmt: skip


def trapezium(x0: float, half0: float, x1: float, half1: float) -> Points:
    """Trapezium along x with half width `half0` at x0 and `half1` at x1."""
    return np.array([[x0, -half0], [x1, -half1], [x1, half1], [x0, half0]])

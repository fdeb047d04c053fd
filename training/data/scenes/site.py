"""Contents of a scene, in metres: buildings, trees, small things, vehicles and people."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.training.data.scenes.appearance import Appearance
from tinydet.training.data.scenes.canvas import Paint, Stain
from tinydet.training.data.scenes.geometry import Array, Path, Points
from tinydet.training.data.scenes.palette import Colour, Material

_CELL_M = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Building:
    """A house on a rectangular footprint."""

    centre_m: Points
    heading_rad: float
    length_m: float
    width_m: float
    height_m: float
    roof: str
    """`gable`, `hip`, `flat` or `metal`."""
    roof_colour: Colour
    facade_colour: Colour
    detail_seed: int
    """Seed of roof windows, chimneys and machines."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A tree, or a bush if its height is small."""

    x_m: float
    y_m: float
    radius_m: float
    height_m: float
    colour: Colour


@dataclass(frozen=True, kw_only=True, eq=False)
class Prop:
    """A small thing that is not an object of a class: bin, sign, container, stone."""

    outline_m: Points
    height_m: float
    colour: Colour


@dataclass(frozen=True, kw_only=True, eq=False)
class Terrace:
    """A flat roof drawn as ground, so that actors may stand on it; it casts a shadow and shows its walls."""

    outline_m: Points
    """Outline of its foot, convex."""
    inner_m: Points
    """Outline of the roof within the parapet."""
    height_m: float
    colour: Colour
    parapet: Colour
    facade: Colour


@dataclass(frozen=True, kw_only=True, eq=False)
class Actor:
    """An object of a class, which follows its route or stands still without one."""

    identity: int
    appearance: Appearance
    xy_m: Points
    """Position at time zero, (2,)."""
    heading_rad: float
    """Heading at time zero."""
    route: Path | None = None
    start_m: float = 0.0
    """Distance along the route at time zero."""
    right_m: float = 0.0
    """Offset to the right of the route."""
    speed_mps: float = 0.0
    """Speed along the route; negative: against its direction."""
    is_decoy: bool = False
    """Whether it only looks like an object of its class, and gets no box."""

    def pose(self, time_s: float) -> tuple[Points, float]:
        """Position (2,) in metres and heading at a time."""
        if self.route is None or time_s == 0:
            return self.xy_m, self.heading_rad
        return on_route(self.route, self.start_m + self.speed_mps * time_s, self.right_m, self.speed_mps < 0)


def on_route(route: Path, at_m: float, right_m: float, is_backwards: bool) -> tuple[Points, float]:
    """Position (2,) in metres and heading beside a route."""
    xy_m, heading_rad = route.at(at_m)
    heading = float(heading_rad[0])
    sideways = np.array([-np.sin(heading), np.cos(heading)])
    return xy_m[0] + right_m * sideways, heading + np.pi * is_backwards


@dataclass(frozen=True, kw_only=True, eq=False)
class Crowd:
    """Appearances of a scene's vehicles and people; several actors may share one."""

    cars: list[Appearance]
    lorries: list[Appearance]
    buses: list[Appearance]
    walkers: list[Appearance]
    standers: list[Appearance]


@dataclass(kw_only=True, eq=False)
class Site:
    """Contents of a scene under construction, with a coarse map of the ground that is taken."""

    half_m: float
    """The site covers -half_m to half_m in both directions."""
    has_people: bool
    """False if people would be too small to see."""
    seconds: float
    """Duration for which traffic has to last."""
    crowd: Crowd
    """Appearances to choose from."""
    paints: list[Paint] = field(default_factory=list)
    stains: list[Stain] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    terraces: list[Terrace] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    props: list[Prop] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)

    def __post_init__(self) -> None:
        cells = int(np.ceil(2 * self.half_m / _CELL_M)) + 1
        self._taken: npt.NDArray[np.uint8] = np.zeros((cells, cells), np.uint8)

    def paint(self, outlines_m: list[Points], colour: Colour, material: Material | None = None) -> None:
        if outlines_m:
            self.paints.append(Paint(outlines_m, colour, material))

    def stain(self, outlines_m: list[Points], amount: float) -> None:
        if outlines_m:
            self.stains.append(Stain(outlines_m, amount))

    def take(self, outline_m: Points) -> None:
        """Mark an outline as taken."""
        cells = np.round((outline_m + self.half_m) / _CELL_M).astype(np.int32)
        cv2.fillPoly(self._taken, [cells], (1,))

    def is_free(self, centre_m: npt.ArrayLike, heading_rad: float, length_m: float, width_m: float) -> bool:
        """Whether a rectangle lies on free ground."""
        steps_along, steps_across = max(2, int(length_m / 1.2) + 1), max(2, int(width_m / 1.2) + 1)
        along = (np.arange(steps_along) / (steps_along - 1) - 0.5) * length_m
        across = (np.arange(steps_across) / (steps_across - 1) - 0.5) * width_m
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        x, y = np.asarray(centre_m, np.float64) + self.half_m
        columns = (along * cos)[:, None] - (across * sin)[None, :] + x
        rows = (along * sin)[:, None] + (across * cos)[None, :] + y
        return not self._taken[self._cells(rows), self._cells(columns)].any()

    def _cells(self, shifted_m: Array) -> npt.NDArray[np.int64]:
        """Cell numbers of coordinates from the site's corner; beyond the site, those of its edge."""
        return np.clip(shifted_m / _CELL_M + 0.5, 0, len(self._taken) - 1).astype(np.int64)

    def are_free(self, points_m: Points) -> npt.NDArray[np.bool_]:
        """Which of the points (N, 2) lie on free ground."""
        cells = self._cells(points_m + self.half_m)
        return np.asarray(self._taken[cells[:, 1], cells[:, 0]] == 0)

    def send(self, appearance: Appearance, route: Path, start_m: float, speed_mps: float, right_m: float = 0.0) -> None:
        """Add an actor that moves along a route."""
        xy_m, heading = on_route(route, start_m, right_m, speed_mps < 0)
        self.actors.append(
            Actor(identity=len(self.actors) + 1, appearance=appearance, xy_m=xy_m, heading_rad=heading, route=route,
                  start_m=start_m, right_m=right_m, speed_mps=speed_mps)
        )  # fmt: skip

    def park(self, appearance: Appearance, xy_m: npt.ArrayLike, heading_rad: float, *, is_decoy: bool = False) -> None:
        """Add an actor that does not move."""
        self.actors.append(
            Actor(identity=len(self.actors) + 1, appearance=appearance, xy_m=np.asarray(xy_m, np.float64),
                  heading_rad=heading_rad, is_decoy=is_decoy)
        )  # fmt: skip

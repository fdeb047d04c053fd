"""Roads: cross-sections, markings, and junctions of two roads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinydet.training.data.scenes.geometry import Path, Points, dashes, directions, place, rectangle
from tinydet.training.data.scenes.palette import (
    ASPHALTS,
    LAWNS,
    MARKING,
    PAVEMENTS,
    Colour,
    Material,
    one_of,
    scale,
    vary,
)
from tinydet.training.data.scenes.site import Site

_KERB_M = 0.18
_LINE_M = 0.16


@dataclass(frozen=True, kw_only=True, eq=False)
class Road:
    """A road along a centre line, the same on both sides."""

    centre: Path
    lanes: int
    """Lanes in each direction."""
    lane_m: float = 3.3
    median_m: float = 0.0
    """Width of the green strip between the directions."""
    parking_m: float = 0.0
    """Width of the parking strip along each kerb."""
    pavement_m: float = 0.0
    speed_mps: float = 12.0

    @cached_property
    def half_m(self) -> float:
        """Distance from the centre line to the kerb."""
        return self.median_m / 2 + self.lanes * self.lane_m + self.parking_m

    @property
    def edge_m(self) -> float:
        """Distance from the centre line to the land beside the road."""
        return self.half_m + self.pavement_m

    def lane_m_right(self, index: int) -> float:
        """Distance from the centre line to the middle of a lane."""
        return self.median_m / 2 + (index + 0.5) * self.lane_m


@dataclass(frozen=True, kw_only=True, eq=False)
class Junction:
    """Crossing of a side road and the main road at a right angle."""

    main: Road
    side: Road
    centre_m: Points
    main_at_m: float
    """Distance along the main road's centre line."""
    side_at_m: float


def bend(rng: np.random.Generator, half_m: float, curvature_per_m: float) -> Path:
    """A road that winds across the plan from left to right."""
    step_m, reach_m = 5.0, half_m * 1.3
    steps = int(reach_m / step_m)
    halves = []
    for direction in (1, -1):
        turns = np.interp(np.arange(steps), np.linspace(0, steps, 5), rng.normal(0, curvature_per_m, 5))
        heading = np.cumsum(turns) * step_m
        halves.append(np.cumsum(directions(heading) * (direction * step_m, step_m), axis=0))
    return Path(np.concatenate([halves[1][::-1], [[0.0, 0.0]], halves[0]]) + (0, rng.normal(0, half_m * 0.12)))


def crossing_road(main: Path, at_m: float, half_m: float) -> Path:
    """A straight centre line at a right angle through a point of the main road."""
    xy_m, heading = main.at(at_m)
    along_m = np.linspace(-1.6 * half_m, 1.6 * half_m, 48)
    return Path(xy_m + along_m[:, None] * directions(heading + np.pi / 2))


def lay_road(site: Site, rng: np.random.Generator, road: Road, asphalt: Colour, pavement: Colour) -> None:
    """Paint a road and mark its ground as taken."""
    centre, half_m = road.centre, road.half_m
    if road.pavement_m:
        site.paint([centre.strip(-road.edge_m, road.edge_m)], pavement, Material.PAVING)
        site.paint([centre.strip(-half_m - _KERB_M, half_m + _KERB_M)], scale(pavement, 1.16), Material.CONCRETE)
    else:
        verge = vary(rng, (136, 128, 108), 0.06)
        site.paint([centre.strip(-half_m - 0.7, half_m + 0.7)], verge, Material.GRAVEL)
    site.paint([centre.strip(-half_m, half_m)], asphalt, Material.ASPHALT)
    site.take(centre.strip(-road.edge_m - 0.3, road.edge_m + 0.3))
    _mark(site, rng, road)
    _wear(site, rng, road, asphalt)
    if road.median_m >= 1.5:
        inner = road.median_m / 2 - 0.5
        site.paint([centre.strip(-inner - _KERB_M, inner + _KERB_M)], scale(pavement, 1.12), Material.CONCRETE)
        site.paint([centre.strip(-inner, inner)], one_of(rng, LAWNS), Material.LAWN)


def _mark(site: Site, rng: np.random.Generator, road: Road) -> None:
    paint = scale(MARKING, rng.uniform(0.72, 1.0))
    centre = road.centre
    if road.median_m >= 1.5 or road.median_m == 0:
        if road.lanes == 1 and rng.random() < 0.75:
            site.paint(dashes(centre, right_m=0, width_m=_LINE_M, on_m=3, off_m=one_of(rng, [3.0, 6.0])), paint)
        elif road.lanes > 1 and road.median_m == 0:
            site.paint([centre.strip(-0.2, -0.06), centre.strip(0.06, 0.2)], paint)
    for side in (-1, 1):
        for lane in range(1, road.lanes):
            offset_m = side * (road.median_m / 2 + lane * road.lane_m)
            site.paint(dashes(centre, right_m=offset_m, width_m=_LINE_M, on_m=3, off_m=6), paint)
        edge_m = side * (road.half_m - road.parking_m - (0.0 if road.parking_m else 0.35))
        if road.parking_m and rng.random() < 0.7:
            site.paint(dashes(centre, right_m=edge_m, width_m=0.12, on_m=0.6, off_m=0.6), paint)
        elif road.speed_mps > 15:
            site.paint([centre.strip(edge_m - 0.09, edge_m + 0.09)], paint)


def _wear(site: Site, rng: np.random.Generator, road: Road, asphalt: Colour) -> None:
    """Add tyre tracks, the oil line between them, repaired patches, joints and manholes."""
    strength = rng.uniform(0.02, 0.09)
    for side in (-1, 1):
        for lane in range(road.lanes):
            middle_m = side * (road.median_m / 2 + (lane + 0.5) * road.lane_m)
            centre = road.centre
            site.stain([centre.strip(middle_m - 0.3, middle_m + 0.3)], -strength)
            tracks = [centre.strip(middle_m + d - 0.3, middle_m + d + 0.3) for d in (-0.8, 0.8)]
            site.stain(tracks, one_of(rng, [1.0, -0.6]) * strength)
    for _ in range(rng.poisson(road.centre.length_m / 45)):
        at_m, heading = road.centre.at(rng.uniform(0, road.centre.length_m))
        xy_m = at_m[0] + rng.uniform(-road.half_m, road.half_m) * directions(heading[0] + np.pi / 2)
        kind = rng.random()
        if kind < 0.4:
            size_m = rng.uniform(1.5, 9.0), rng.uniform(0.8, 3.0)
            site.paint([rectangle(xy_m, heading[0], *size_m)], vary(rng, asphalt, 0.09), Material.ASPHALT)
        elif kind < 0.75:
            site.paint([rectangle(xy_m, heading[0], 0.7, 0.7)], scale(asphalt, one_of(rng, [0.65, 1.2])))
        else:
            turn = one_of(rng, [0, np.pi / 2])
            site.paint([rectangle(xy_m, heading[0] + turn, rng.uniform(4, 18), 0.08)], scale(asphalt, 0.66))


def lay_junction(site: Site, rng: np.random.Generator, junction: Junction, asphalt: Colour, pavement: Colour) -> None:
    """Paint a junction: asphalt with rounded corners, stop lines and zebra crossings."""
    heading = float(junction.main.centre.at(junction.main_at_m)[1][0])
    main_half, side_half = junction.main.half_m, junction.side.half_m
    radius_m = 6.0 if junction.main.pavement_m else 8.0

    def local(points: Points) -> Points:
        return place(points, junction.centre_m, heading)

    cross = rectangle(junction.centre_m, heading, 2 * side_half + 2 * radius_m + 3, 2 * main_half)
    other = rectangle(junction.centre_m, heading, 2 * side_half, 2 * main_half + 2 * radius_m + 3)
    arc = np.linspace(0, np.pi / 2, 8)
    corners = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            bow = np.stack([radius_m - radius_m * np.sin(arc), radius_m - radius_m * np.cos(arc)], axis=-1)
            fillet = np.concatenate([[[-0.3, -0.3]], bow + 0.0])
            corners.append(local((fillet + (side_half, main_half)) * (sx, sy)))
    if junction.main.pavement_m:
        kerb = scale(pavement, 1.16)
        grown = [corner + 0.35 * np.sign(corner - corner.mean(axis=0)) for corner in corners]
        site.paint(grown, kerb, Material.CONCRETE)
    site.paint([cross, other, *corners], asphalt, Material.ASPHALT)

    paint = scale(MARKING, rng.uniform(0.8, 1.0))
    has_zebra = bool(junction.main.pavement_m) and rng.random() < 0.8
    stop_m = radius_m + 1.0
    for road, half_m, turn in (
        (junction.main, side_half, 0.0), (junction.main, side_half, np.pi),
        (junction.side, main_half, np.pi / 2), (junction.side, main_half, -np.pi / 2),
    ):  # fmt: skip

        def arm(points: Points, turn: float = turn) -> Points:
            return local(place(points, (0, 0), turn))

        lanes_m = road.half_m - road.parking_m
        inner_m = road.median_m / 2
        near = half_m + stop_m
        # Seen from the middle outwards, oncoming traffic stops on the left half.
        site.paint([arm(np.array([[near + 3.6, -lanes_m], [near + 4.1, -lanes_m], [near + 4.1, -inner_m],
                                  [near + 3.6, -inner_m]]))], paint)  # fmt: skip
        if has_zebra:
            bars = np.arange(-road.half_m + 0.5, road.half_m - 0.4, 1.0)
            site.paint([arm(np.array([[near - 0.4, y], [near + 2.6, y], [near + 2.6, y + 0.5], [near - 0.4, y + 0.5]]))
                        for y in bars], paint)  # fmt: skip
        for lane in range(road.lanes if road.lanes > 1 else 0):
            y = -(inner_m + (lane + 0.5) * road.lane_m)
            shaft = np.array([[near + 7, y - 0.1], [near + 10, y - 0.1], [near + 10, y + 0.1], [near + 7, y + 0.1]])
            tip = np.array([[near + 5.8, y], [near + 7.2, y - 0.5], [near + 7.2, y + 0.5]])
            site.paint([arm(shaft), arm(tip)], paint)


def road_colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Draw the colours of asphalt and pavement."""
    asphalt = vary(rng, one_of(rng, ASPHALTS), 0.06)
    return asphalt, vary(rng, one_of(rng, PAVEMENTS), 0.06)

"""Plan a scene in which only the surroundings tell a vehicle from a decoy.

Vehicles stand on streets and yards, decoys on flat roofs (vents, skylights) and on bare patches in fields (boulders).
All are specks from one function, in the sun, along one of the two directions of the layout, and alone: for `CLEAR_M`
around its middle a speck has plain ground, of the same colours and material everywhere. What is farther off differs:
kerbs and a verge, the joints of a yard, a parapet with its shadow, or crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tinydet.training.data.scenes.block import Block, area_m2, cover, pick
from tinydet.training.data.scenes.buildings import build
from tinydet.training.data.scenes.geometry import Affine, Array, Points, apply, blob, box, directions, place, rectangle
from tinydet.training.data.scenes.palette import (
    ASPHALTS,
    CONTAINERS,
    CROPS,
    FACADES,
    GRAVELS,
    LAWNS,
    MARKING,
    PAVEMENTS,
    SOILS,
    Colour,
    Material,
    one_of,
    scale,
)
from tinydet.training.data.scenes.plan import Plan, make_heading, make_weather
from tinydet.training.data.scenes.site import Actor, Crowd, Prop, Site, Terrace
from tinydet.training.data.scenes.specks import speck
from tinydet.training.data.scenes.still_layers import StillLayers
from tinydet.training.data.scenes.vegetation import scatter

CLEAR_M = 6.8
"""Least distance from the middle of a speck to anything that tells where it stands; specks are 3.7 to 4.9 m long."""
_SPECK_M = 4.3
_SPECK_PX = (6.0, 13.0)
"""Length of a speck in the picture, which sets the flying height."""
_SURFACES: tuple[Colour, ...] = (*ASPHALTS, (150, 146, 140), (118, 116, 114), (136, 130, 120))
_SPACING_M = CLEAR_M + 5.0
"""Least distance along a street or roof: half a neighbour and its shadow stay out of the clear ground."""

Street = tuple[float, float, float]
"""Offset of the centre line from the middle of the layout, half width of the carriageway, width of a pavement; in m."""


def make_decoy_plan(seed: int, size_hw: tuple[int, int]) -> Plan:
    """Plan a scene of vehicles and decoys that covers a picture (H, W)."""
    rng = np.random.default_rng((seed, 1))
    gsd_m = _SPECK_M / float(np.exp(rng.uniform(*np.log(_SPECK_PX))))
    half_m = 0.5 * float(np.hypot(*size_hw)) * gsd_m + 12.0
    nobody = Crowd(cars=[], lorries=[], buses=[], walkers=[], standers=[])
    site = Site(half_m=half_m, seconds=0.0, has_people=False, crowd=nobody)
    plan = Plan(site=site, weather=make_weather(rng), gsd_m=gsd_m, heading_rad=make_heading(rng), seed=seed)
    site.paint([box(-half_m, -half_m, half_m, half_m)], pick(rng, LAWNS), Material.MEADOW)
    streets = [_streets(rng, half_m) for _ in range(2)]
    land = [_between(half_m, street) for street in streets]
    kinds: list[int] = []
    for x0, x1 in land[0]:
        for y0, y1 in land[1]:
            for parcel in _parcels(rng, (x0, y0, x1, y1)):
                kinds = kinds or rng.permutation([0, 1, 1, 2, 2]).tolist()
                (_yard, _field, _estate)[kinds.pop()](plan, rng, parcel)
    _lay_streets(site, rng, streets)
    return plan


def select(plan: Plan, layers: StillLayers, to_px: Affine) -> list[Actor]:
    """Choose as many vehicles as decoys of those that stand free and in the sun, within the picture."""
    hw = layers.sun.shape
    reach = CLEAR_M / plan.gsd_m
    fit: list[Actor] = []
    for actor in plan.site.actors:
        x, y = apply(to_px, actor.xy_m)
        if not (0 < x < hw[1] and 0 < y < hw[0]):
            continue
        around = (slice(max(int(y - reach), 0), int(y + reach) + 1), slice(max(int(x - reach), 0), int(x + reach) + 1))
        if layers.sun[around].min() > 0.9 and layers.cover[around].max() < 0.05:
            fit.append(actor)
    rng = np.random.default_rng((plan.seed, 7))
    groups = [[actor for actor in fit if actor.is_decoy == is_decoy] for is_decoy in (False, True)]
    count = min(map(len, groups))
    return [group[i] for group in groups for i in sorted(rng.choice(len(group), count, replace=False))]


def _stand(site: Site, rng: np.random.Generator, xy_m: Points, *, is_decoy: bool, turn: float | None = None) -> None:
    """Put a speck somewhere, along one of the layout's two directions unless its `turn` is given."""
    quarter = rng.integers(4) * np.pi / 2 if turn is None else turn
    site.park(speck(rng), xy_m, float(quarter + rng.normal(0, 0.03)), is_decoy=is_decoy)


def _along(rng: np.random.Generator, low_m: float, high_m: float, share: float) -> Array:
    """Draw positions from `low_m` to `high_m` at which specks keep their distance; `share` of the most there can be."""
    room = high_m - low_m
    count = int(room / _SPACING_M) + 1 if room > 0 else 0
    slack = np.sort(rng.uniform(0, room - (count - 1) * _SPACING_M, count)) if count else np.zeros(0)
    spots = low_m + np.arange(count) * _SPACING_M + slack
    return np.asarray(spots[rng.random(count) < share])


def _streets(rng: np.random.Generator, half_m: float) -> list[Street]:
    streets = []
    at_m = -half_m + rng.uniform(-10, 50)
    while at_m < half_m:
        streets.append((at_m, rng.uniform(8.2, 9.8), one_of(rng, [0.0, rng.uniform(2, 3.5)])))
        at_m += rng.uniform(75, 135)
    return streets


def _between(half_m: float, streets: list[Street]) -> list[tuple[float, float]]:
    """Stretches of land between parallel streets."""
    edges = [-half_m]
    for at_m, road_m, pavement_m in streets:
        edges += [at_m - road_m - pavement_m - 1.5, at_m + road_m + pavement_m + 1.5]
    edges.append(half_m)
    return [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if high - low > 6]


def _parcels(rng: np.random.Generator, block: Block) -> list[Block]:
    """Divide a block across its longer side into parcels of 40 m and more."""
    x0, y0, x1, y1 = block
    is_wide = x1 - x0 > y1 - y0
    low, high = (x0, x1) if is_wide else (y0, y1)
    count = max(1, min(int((high - low) / 40), int(rng.integers(1, 4))))
    cuts = np.linspace(low, high, count + 1)
    return [(a, y0, b, y1) if is_wide else (x0, a, x1, b) for a, b in pairwise(cuts)]


def _lay_streets(site: Site, rng: np.random.Generator, streets: Sequence[list[Street]]) -> None:
    """Paint the streets of both directions, with white lines at their edges, and let vehicles drive on the right."""
    reach_m = site.half_m * 1.1
    lines: list[Points] = []
    axes = [(street, axis) for axis in (0, 1) for street in streets[axis]]
    order = [axes[i] for i in rng.permutation(len(axes))]

    def strip(axis: int, low_m: float, high_m: float, start_m: float = -reach_m, end_m: float = reach_m) -> Points:
        return box(low_m, start_m, high_m, end_m) if axis == 0 else box(start_m, low_m, end_m, high_m)

    pavement = pick(rng, PAVEMENTS)
    for (at_m, half_m, pavement_m), axis in order:
        outer_m = half_m + (pavement_m or 1.0)
        colour = scale(pavement, 1.1) if pavement_m else pick(rng, GRAVELS)
        site.paint([strip(axis, at_m - outer_m, at_m + outer_m)], colour, Material.PAVING)
    for (at_m, half_m, _), axis in order:
        crossings = sorted((other_m, width_m) for other_m, width_m, _ in streets[1 - axis])
        site.paint([strip(axis, at_m - half_m, at_m + half_m)], pick(rng, _SURFACES), Material.CONCRETE)
        start_m = -reach_m
        for other_m, width_m in (*crossings, (reach_m, 0.0)):
            end_m = other_m - width_m
            edges = (at_m - half_m + 0.5, at_m + half_m - 0.9)
            lines += [strip(axis, edge, edge + 0.4, start_m, end_m) for edge in edges]
            bars = np.arange(at_m - half_m + 0.8, at_m + half_m - 1.4, 1.6)
            for zebra_m in (start_m + 2, end_m - 5):
                lines += [strip(axis, bar, bar + 0.8, zebra_m, zebra_m + 3) for bar in bars]
            for along_m in _along(rng, start_m + 5 + CLEAR_M, end_m - 5 - CLEAR_M, 0.75):
                side = one_of(rng, [-1, 1])
                across_m = at_m + side * rng.uniform(0.5, 1.0) * (half_m - 0.7 - CLEAR_M)
                xy_m = np.array([across_m, along_m] if axis == 0 else [along_m, across_m])
                turn = -side * np.pi / 2 if axis == 0 else (0.0 if side > 0 else np.pi)
                _stand(site, rng, xy_m, is_decoy=False, turn=turn)
            start_m = other_m + width_m
    site.paint(lines, scale(MARKING, rng.uniform(0.85, 1.0)))


def _yard(plan: Plan, rng: np.random.Generator, parcel: Block) -> None:
    """A paved yard with joints, parked vehicles and containers, in a green margin."""
    site = plan.site
    cover(site, parcel, pick(rng, LAWNS), Material.LAWN)
    x0, y0, x1, y1 = parcel[0] + 2, parcel[1] + 2, parcel[2] - 2, parcel[3] - 2
    ground = pick(rng, _SURFACES)
    site.paint([box(x0, y0, x1, y1)], scale(ground, 0.6), Material.CONCRETE)
    site.paint([box(x0 + 0.6, y0 + 0.6, x1 - 0.6, y1 - 0.6)], ground, Material.CONCRETE)
    columns, rows = (max(1, int((b - a) / (2 * CLEAR_M + 0.8))) for a, b in ((x0, x1), (y0, y1)))
    xs, ys = np.linspace(x0, x1, columns + 1), np.linspace(y0, y1, rows + 1)
    joints = [box(x - 0.2, y0, x + 0.2, y1) for x in xs[1:-1]] + [box(x0, y - 0.2, x1, y + 0.2) for y in ys[1:-1]]
    site.paint(joints, scale(MARKING, 0.9) if rng.random() < 0.5 else scale(ground, 0.7))
    for left, right in pairwise(xs):
        for top, bottom in pairwise(ys):
            middle = np.array([(left + right) / 2, (top + bottom) / 2])
            room = np.maximum(np.array([right - left, bottom - top]) / 2 - CLEAR_M - 0.2, 0)
            kind = rng.random()
            if kind < 0.6:
                _stand(site, rng, middle + rng.uniform(-1, 1, 2) * room, is_decoy=False)
            elif kind < 0.72:
                turn = rng.integers(2) * np.pi / 2
                for row in range(int(rng.integers(1, 4))):
                    outline = place(rectangle((0, (row - 1) * 2.6), 0, 12.2, 2.44), middle, turn)
                    site.props.append(Prop(outline_m=outline, height_m=2.6, colour=pick(rng, CONTAINERS)))


def _field(plan: Plan, rng: np.random.Generator, parcel: Block) -> None:
    """A field of crops in rows, with bushes, and boulders on bare patches."""
    site = plan.site
    cover(site, parcel, pick(rng, LAWNS), Material.MEADOW)
    x0, y0, x1, y1 = parcel[0] + 1.5, parcel[1] + 1.5, parcel[2] - 1.5, parcel[3] - 1.5
    site.paint([box(x0, y0, x1, y1)], pick(rng, CROPS if rng.random() < 0.75 else SOILS, 0.09), Material.CROP)
    for _ in range(int(area_m2(parcel) / 40)):
        radius_m = CLEAR_M * rng.uniform(1.15, 1.35)
        if min(x1 - x0, y1 - y0) < 2 * radius_m:
            break
        middle = rng.uniform((x0 + radius_m, y0 + radius_m), (x1 - radius_m, y1 - radius_m))
        if site.is_free(middle, 0.0, 2 * radius_m + 3, 2 * radius_m + 3):
            site.paint([_patch(rng, middle, radius_m)], pick(rng, _SURFACES), Material.CONCRETE)
            site.take(rectangle(middle, 0, 2 * radius_m, 2 * radius_m))
            _stand(site, rng, middle, is_decoy=True)
    scatter(site, rng, parcel, count=int(area_m2(parcel) / 300), radius_m=(0.8, 2.6), clumps=3, is_bush=True)


def _patch(rng: np.random.Generator, middle: Points, radius_m: float) -> Points:
    """A round outline whose lobes come no nearer to the middle than CLEAR_M."""
    offsets = blob(rng, (0, 0), radius_m, 24)
    far = np.maximum(np.hypot(*offsets.T), CLEAR_M)
    return np.asarray(middle + far[:, None] * directions(np.arctan2(offsets[:, 1], offsets[:, 0])))


def _estate(plan: Plan, rng: np.random.Generator, parcel: Block) -> None:
    """Large buildings with vents and skylights on flat roofs, small houses, and trees between them."""
    site, lean_m_per_m = plan.site, plan.weather.lean_m_per_m
    cover(site, parcel, pick(rng, LAWNS), Material.LAWN)
    low, high = np.array(parcel[:2]), np.array(parcel[2:])
    for _ in range(50):
        turn = rng.integers(2) * np.pi / 2
        length_m, width_m = rng.uniform(18, 44), rng.uniform(2 * CLEAR_M + 1.8, 21)
        half = np.array([length_m, width_m] if turn == 0 else [width_m, length_m]) / 2 + 2.0
        if np.any(high - low <= 2 * half):
            continue
        middle, height_m = rng.uniform(low + half, high - half), rng.uniform(3.5, 9)
        lean_m = lean_m_per_m * height_m
        if not site.is_free(middle + lean_m / 2, turn, length_m + 6, width_m + 6):
            continue
        colour, apron = pick(rng, _SURFACES), rectangle(middle, turn, length_m + 3, width_m + 3)
        site.paint([apron], pick(rng, PAVEMENTS), Material.PAVING)
        site.terraces.append(
            Terrace(
                outline_m=rectangle(middle, turn, length_m, width_m),
                inner_m=rectangle(middle, turn, length_m - 1.4, width_m - 1.4),
                height_m=height_m,
                colour=colour,
                parapet=scale(colour, one_of(rng, [0.72, 1.25])),
                facade=scale(pick(rng, FACADES), 0.75),
            )
        )
        site.take(rectangle(middle, turn, length_m + 2, width_m + 2))
        site.take(rectangle(middle + lean_m, turn, length_m + 2, width_m + 2))
        reach_m = length_m / 2 - 0.7 - CLEAR_M
        for along_m in _along(rng, -reach_m, reach_m, 0.95):
            across_m = rng.uniform(-1, 1) * (width_m / 2 - 0.7 - CLEAR_M)
            on_roof = place(np.array([[along_m, across_m]]), middle + lean_m, turn)[0]
            _stand(site, rng, on_roof, is_decoy=True)
    roof = one_of(rng, ["gable", "hip"])
    for _ in range(12):
        middle = rng.uniform(low + 8, np.maximum(high - 8, low + 8))
        build(site, rng, middle, rng.integers(2) * np.pi / 2, (rng.uniform(9, 13), rng.uniform(7.5, 10), 4.5), roof)
    scatter(site, rng, parcel, count=int(area_m2(parcel) / 130), radius_m=(1.2, 3.6), clumps=6)

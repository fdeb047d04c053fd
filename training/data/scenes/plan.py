"""Make the plan of a scene from a seed: the kind of place, its roads, zones and objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydet.training.data.scenes.block import Block, Frontage
from tinydet.training.data.scenes.buildings import Sunshine
from tinydet.training.data.scenes.cars import car
from tinydet.training.data.scenes.geometry import Affine, Path, Points, apply, box, directions
from tinydet.training.data.scenes.large_vehicles import bus, lorry
from tinydet.training.data.scenes.palette import LAWNS, Material, one_of, weighted_choice
from tinydet.training.data.scenes.people import PERSON, person
from tinydet.training.data.scenes.roads import Junction, Road, bend, crossing_road, lay_junction, lay_road, road_colours
from tinydet.training.data.scenes.settings import SETTINGS, Setting
from tinydet.training.data.scenes.site import Actor, Crowd, Site
from tinydet.training.data.scenes.traffic import drive_along, park_along, wait_at, walk_along
from tinydet.training.data.scenes.vegetation import plant_row
from tinydet.training.data.scenes.zones import ZONES

_CAR_M = 4.5
_MIN_BLOCK_M = 12.0
"""Narrower blocks stay meadow."""
_PEOPLE_UP_TO_GSD_M = 0.26


@dataclass(frozen=True, kw_only=True, eq=False)
class Weather:
    """Sun, clouds and the camera's tilt, in the layout frame."""

    sunshine: Sunshine
    shadow_m_per_m: Points
    """Offset of the shadow of a point at 1 m height, (2,)."""
    lean_m_per_m: Points
    """Offset at which a point at 1 m height appears on the ground, because the camera is tilted, (2,)."""
    penumbra_m: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A scene before it is drawn."""

    site: Site
    weather: Weather
    gsd_m: float
    """Metres per pixel of the picture."""
    heading_rad: float
    """Rotation of the layout frame in the picture."""
    seed: int

    def to_px(self, hw: tuple[int, int]) -> Affine:
        """Map from layout metres to pixels of a picture of this size, centred."""
        cos, sin = np.cos(self.heading_rad) / self.gsd_m, np.sin(self.heading_rad) / self.gsd_m
        return np.array([[cos, -sin, hw[1] / 2], [sin, cos, hw[0] / 2]])


def make_plan(
    seed: int, size_hw: tuple[int, int], *, seconds: float = 0.0, busy_hw: tuple[int, int] | None = None
) -> Plan:
    """Plan everything of a scene that does not depend on pixels.

    The plan covers a picture of `size_hw` and has traffic for a clip of `seconds`. The number of objects is limited
    within a picture of `busy_hw` (default: `size_hw`).
    """
    rng = np.random.default_rng((seed, 1))
    setting = SETTINGS[weighted_choice(rng, {name: setting.weight for name, setting in SETTINGS.items()})]
    car_px = float(np.exp(rng.uniform(*np.log(setting.car_px))))
    gsd_m = _CAR_M / car_px
    half_m = 0.5 * float(np.hypot(*size_hw)) * gsd_m + 12.0
    site = Site(half_m=half_m, seconds=seconds, has_people=gsd_m <= _PEOPLE_UP_TO_GSD_M, crowd=_crowd(rng))
    weather = make_weather(rng)
    _lay_out(site, rng, setting)
    plan = Plan(site=site, weather=weather, gsd_m=gsd_m, heading_rad=make_heading(rng), seed=seed)
    _thin(plan, rng, busy_hw or size_hw)
    return plan


def _thin(plan: Plan, rng: np.random.Generator, size_hw: tuple[int, int]) -> None:
    """Remove some vehicles and people where a picture would show too many."""
    to_px, site = plan.to_px(size_hw), plan.site
    keep: list[Actor] = []
    for is_person, limit in ((False, rng.integers(40, 100)), (True, rng.integers(10, 45))):
        group = [actor for actor in site.actors if (actor.appearance.class_id == PERSON) == is_person]
        if not group:
            continue
        xy_px = apply(to_px, np.stack([actor.xy_m for actor in group]))
        count = int(np.all((xy_px > 0) & (xy_px < size_hw[::-1]), axis=1).sum())
        stays = rng.random(len(group)) < limit / max(count, limit)
        keep += [actor for actor, stay in zip(group, stays, strict=True) if stay]
    site.actors[:] = keep


def _crowd(rng: np.random.Generator) -> Crowd:
    return Crowd(
        cars=[car(rng) for _ in range(40)],
        lorries=[lorry(rng) for _ in range(6)],
        buses=[bus(rng) for _ in range(3)],
        walkers=[person(rng) for _ in range(20)],
        standers=[person(rng, is_walking=False) for _ in range(8)],
    )


def make_heading(rng: np.random.Generator) -> float:
    """Draw any heading; often nearly upright, because pilots like to fly along a street."""
    if rng.random() < 0.4:
        return float(rng.integers(4) * np.pi / 2 + rng.normal(0, 0.08))
    return float(rng.uniform(0, 2 * np.pi))


def make_weather(rng: np.random.Generator) -> Weather:
    """Draw the sun's position and strength, and the camera's tilt."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(28, 65))
    is_dull = rng.random() < 0.25
    direct = rng.uniform(0.0, 0.25) if is_dull else rng.uniform(0.62, 0.87)
    to_sun = np.array([*(np.cos(elevation) * directions(azimuth)), np.sin(elevation)])
    lean = 0.0 if rng.random() < 0.2 else rng.uniform(0.02, 0.22)
    return Weather(
        sunshine=Sunshine(to_sun, float(direct)),
        shadow_m_per_m=-directions(azimuth) / np.tan(elevation),
        lean_m_per_m=lean * directions(rng.uniform(0, 2 * np.pi)),
        penumbra_m=0.8 if is_dull else 0.12,
    )


def _lay_out(site: Site, rng: np.random.Generator, setting: Setting) -> None:
    half_m = site.half_m
    pavement_m = rng.uniform(*setting.pavement_m)
    has_strip = setting.parked_share > 0 and rng.random() < 0.75
    main = Road(
        centre=bend(rng, half_m, setting.curvature_per_m), lanes=int(one_of(rng, setting.lanes)),
        lane_m=rng.uniform(3.0, 3.6), median_m=float(one_of(rng, setting.median_m)),
        parking_m=2.2 if has_strip else 0.0, pavement_m=pavement_m, speed_mps=rng.uniform(*setting.speed_mps),
    )  # fmt: skip
    junctions = _junctions(rng, main, half_m, int(one_of(rng, setting.side_roads)), pavement_m)
    roads = [*(junction.side for junction in junctions), main]
    for road in roads:
        site.take(road.centre.strip(-road.edge_m - 0.3, road.edge_m + 0.3))

    asphalt, pavement = road_colours(rng)
    frontages: list[Frontage] = [(road.centre, side * (road.edge_m + 1)) for road in roads for side in (-1, 1)]
    site.paint([box(-half_m, -half_m, half_m, half_m)], LAWNS[0], Material.MEADOW)
    for block in _blocks(main, junctions, half_m):
        ZONES[weighted_choice(rng, setting.zones)](site, rng, block, frontages)

    side_asphalt = road_colours(rng)[0] if rng.random() < 0.5 else asphalt
    for road in roads:
        lay_road(site, rng, road, asphalt if road is main else side_asphalt, pavement)
    for junction in junctions:
        lay_junction(site, rng, junction, asphalt, pavement)
        wait_at(site, rng, junction)
    _trees_along(site, rng, main)

    main_has_green = rng.random() < 0.6
    for road in roads:
        crossings = [(j.main_at_m, j.side.half_m + 11.6) if road is main else (j.side_at_m, j.main.half_m + 11.6)
                     for j in junctions if road is main or road is j.side]  # fmt: skip
        # Without traffic lights, the side road gives way.
        has_green = main_has_green if road is main else not main_has_green
        drive_along(site, rng, road, crossings, vehicles_per_km=rng.uniform(*setting.vehicles_per_km),
                    large_share=setting.large_share, has_green=has_green)  # fmt: skip
        if road.parking_m:
            park_along(site, rng, road, crossings, setting.parked_share)
        if road.pavement_m > 1:
            for side in (-1, 1):
                walk_along(site, rng, road.centre, road.pavement_m * 0.7, setting.walkers_per_100_m,
                           side * (road.half_m + road.pavement_m / 2))  # fmt: skip


def _junctions(rng: np.random.Generator, main: Road, half_m: float, count: int, pavement_m: float) -> list[Junction]:
    middle_m = main.centre.nearest(np.zeros(2))
    spread_m = 0.5 * half_m
    spots_m = {1: [rng.normal(0, spread_m * 0.6)], 2: [-spread_m * rng.uniform(0.6, 1), spread_m * rng.uniform(0.6, 1)]}
    junctions = []
    for offset_m in spots_m.get(count, []):
        at_m = middle_m + float(offset_m)
        centre = crossing_road(main.centre, at_m, half_m)
        side = Road(centre=centre, lanes=int(one_of(rng, [1, 1, 2])) if main.lanes > 1 else 1, lane_m=main.lane_m,
                    parking_m=2.2 if main.parking_m and rng.random() < 0.6 else 0.0, pavement_m=pavement_m,
                    speed_mps=main.speed_mps)  # fmt: skip
        centre_m = main.centre.at(at_m)[0][0]
        junctions.append(Junction(main=main, side=side, centre_m=centre_m, main_at_m=at_m,
                                  side_at_m=centre.length_m / 2))  # fmt: skip
    return junctions


def _blocks(main: Road, junctions: list[Junction], half_m: float) -> list[Block]:
    """Blocks of land on both sides of the main road, divided by the side roads."""
    cuts = sorted(float(j.centre_m[0]) for j in junctions)
    lefts, rights = [-half_m, *cuts], [*cuts, half_m]
    blocks: list[Block] = []
    for left, right in zip(lefts, rights, strict=True):
        ys = main.centre.points_m[(main.centre.points_m[:, 0] > left) & (main.centre.points_m[:, 0] < right), 1]
        low, high = (float(ys.min()), float(ys.max())) if len(ys) else (0.0, 0.0)
        blocks += [(left, -half_m, right, high), (left, low, right, half_m)]
    return [block for block in blocks if min(block[2] - block[0], block[3] - block[1]) >= _MIN_BLOCK_M]


def _trees_along(site: Site, rng: np.random.Generator, main: Road) -> None:
    rows_m = []
    if main.pavement_m > 3 and rng.random() < 0.5:
        rows_m += [-main.half_m - 1.2, main.half_m + 1.2]
    if main.median_m > 4 and rng.random() < 0.7:
        rows_m.append(0.0)
    radius_m = rng.uniform(1.3, 2.6)
    for row_m in rows_m:
        path: Path = main.centre.offset(row_m)
        plant_row(site, rng, path, spacing_m=rng.uniform(7, 14), radius_m=radius_m, is_on_road=True)

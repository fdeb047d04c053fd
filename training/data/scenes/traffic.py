"""Traffic: moving, queueing and parked vehicles, and people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydet.training.data.scenes.appearance import Appearance
from tinydet.training.data.scenes.geometry import Path
from tinydet.training.data.scenes.palette import one_of
from tinydet.training.data.scenes.roads import Junction, Road
from tinydet.training.data.scenes.site import Site, on_route


def vehicle(site: Site, rng: np.random.Generator, large_share: float) -> Appearance:
    """Pick a vehicle: a car or van, or with `large_share` a lorry or bus."""
    crowd = site.crowd
    if rng.random() >= large_share:
        return one_of(rng, crowd.cars)
    return one_of(rng, crowd.buses if rng.random() < 0.4 else crowd.lorries)


def person(site: Site, rng: np.random.Generator, *, is_walking: bool = True) -> Appearance:
    """Pick a person, walking or standing."""
    return one_of(rng, site.crowd.walkers if is_walking else site.crowd.standers)


def drive_along(
    site: Site,
    rng: np.random.Generator,
    road: Road,
    stops_m: list[tuple[float, float]],
    *,
    vehicles_per_km: float,
    large_share: float,
    has_green: bool,
) -> None:
    """Put traffic on every lane.

    `stops_m` are the (distance along the centre line, half length) of the junctions. With green, traffic flows through;
    with red, it queues at every stop line and only vehicles past the last junction move, so that no vehicle of a clip
    drives through another.
    """
    for side in (-1, 1):
        track = road.centre if side > 0 else road.centre.reversed()
        junctions = sorted((at if side > 0 else track.length_m - at, half) for at, half in stops_m)
        for index in range(road.lanes):
            lane = Lane(track, road.lane_m_right(index) + rng.normal(0, 0.12), road.speed_mps * rng.uniform(0.8, 1.1))
            if has_green or not junctions:
                # In a clip, more traffic is on its way.
                _flow(site, rng, lane, -lane.speed_mps * site.seconds, vehicles_per_km, large_share)
                continue
            for at_m, half_m in junctions:
                _queue(site, rng, lane, at_m - half_m, int(rng.integers(0, 7)), large_share)
            at_m, half_m = junctions[-1]
            _flow(site, rng, lane, at_m + half_m + 6, vehicles_per_km * 0.6, large_share)


@dataclass(frozen=True, eq=False)
class Lane:
    """A lane: the road's centre line in driving direction, the offset from it, and the speed."""

    track: Path
    right_m: float
    speed_mps: float


def _flow(
    site: Site, rng: np.random.Generator, lane: Lane, start_m: float, vehicles_per_km: float, large_share: float
) -> None:
    spacing_m = 1000 / vehicles_per_km
    at_m = start_m + rng.exponential(spacing_m)
    while at_m < lane.track.length_m:
        appearance = vehicle(site, rng, large_share)
        at_m += appearance.length_m / 2
        site.send(appearance, lane.track, at_m, lane.speed_mps, lane.right_m)
        headway_m = 2.0 + 0.5 * lane.speed_mps
        at_m += appearance.length_m / 2 + headway_m + rng.exponential(max(spacing_m - headway_m, 4.0))


def _queue(site: Site, rng: np.random.Generator, lane: Lane, stop_m: float, count: int, large_share: float) -> None:
    at_m = stop_m - rng.uniform(0.4, 1.2)
    for _ in range(count):
        appearance = vehicle(site, rng, large_share)
        xy_m, heading = on_route(lane.track, at_m - appearance.length_m / 2, lane.right_m + rng.normal(0, 0.1), False)
        site.park(appearance, xy_m, heading + rng.normal(0, 0.015))
        at_m -= appearance.length_m + rng.uniform(1.2, 3.0)


def park_along(site: Site, rng: np.random.Generator, road: Road, junctions: list[tuple[float, float]],
               occupied_share: float) -> None:  # fmt: skip
    """Park cars in the parking strips, away from junctions."""
    for side in (-1, 1):
        right_m = side * (road.half_m - road.parking_m / 2)
        at_m, share = rng.uniform(0, 6), occupied_share * rng.uniform(0.5, 1.3)
        while at_m < road.centre.length_m:
            appearance = vehicle(site, rng, 0.02)
            middle_m = at_m + appearance.length_m / 2
            is_clear = all(abs(middle_m - junction_m) > half_m + 6 for junction_m, half_m in junctions)
            if is_clear and rng.random() < share:
                is_backwards = (side > 0) != (rng.random() < 0.95)
                xy_m, heading = on_route(road.centre, middle_m, right_m + rng.normal(0, 0.1), is_backwards)
                site.park(appearance, xy_m, heading + rng.normal(0, 0.02))
            at_m += appearance.length_m + rng.uniform(0.7, 1.8)


def walk_along(
    site: Site, rng: np.random.Generator, path: Path, width_m: float, per_100_m: float, middle_m: float = 0.0
) -> None:
    """Put people on a path or pavement, alone and in pairs, in both directions."""
    if not site.has_people:
        return
    for at_m in rng.uniform(0, path.length_m, rng.poisson(per_100_m * path.length_m / 100)):
        right_m = middle_m + rng.uniform(-0.5, 0.5) * width_m
        speed = rng.uniform(0.9, 1.6) * (1 if rng.random() < 0.5 else -1)
        for companion in range(2 if rng.random() < 0.25 else 1):
            site.send(person(site, rng), path, at_m + rng.normal(0, 0.1), speed, right_m + 0.75 * companion)


def stand_about(site: Site, rng: np.random.Generator, bounds_m: tuple[float, float, float, float], count: int) -> None:
    """Scatter people over an open area, some in standing groups, some crossing it."""
    if not site.has_people:
        return
    x0, y0, x1, y1 = bounds_m
    for _ in range(count):
        xy_m = rng.uniform((x0, y0), (x1, y1))
        heading = rng.uniform(0, 2 * np.pi)
        is_walking = rng.random() < 0.65
        group = 1 if is_walking or rng.random() < 0.5 else int(rng.integers(2, 5))
        for member in range(group):
            turn = 2 * np.pi * member / group
            spot_m = xy_m + (0.55 * group * np.array([np.cos(turn), np.sin(turn)]) if group > 1 else 0)
            if not site.are_free(spot_m[None]).all():
                continue
            look = person(site, rng, is_walking=is_walking)
            if is_walking:
                step_m = np.array([np.cos(heading), np.sin(heading)])
                site.send(look, Path(np.stack([spot_m, spot_m + step_m])), 0.0, rng.uniform(0.8, 1.5))
            else:
                site.park(look, spot_m, turn + np.pi)


def wait_at(site: Site, rng: np.random.Generator, junction: Junction) -> None:
    """Put people at the corners and zebra crossings of a junction."""
    if not site.has_people:
        return
    reach_m = max(junction.main.half_m, junction.side.half_m) + 5
    for _ in range(rng.poisson(4)):
        angle = np.pi / 4 + rng.integers(4) * np.pi / 2 + rng.normal(0, 0.2)
        xy_m = junction.centre_m + reach_m * 1.1 * np.array([np.cos(angle), np.sin(angle)])
        site.park(person(site, rng, is_walking=False), xy_m, rng.uniform(0, 2 * np.pi))

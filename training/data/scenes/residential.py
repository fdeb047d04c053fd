"""Residential land: family houses in gardens, and flats around courtyards."""

from __future__ import annotations

import numpy as np

from tinydet.training.data.scenes.block import Block, Frontage, area_m2, contains, cover, litter, pick
from tinydet.training.data.scenes.buildings import build
from tinydet.training.data.scenes.geometry import Points, box, directions, rectangle
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
    weighted_choice,
)
from tinydet.training.data.scenes.site import Site
from tinydet.training.data.scenes.traffic import stand_about, vehicle
from tinydet.training.data.scenes.vegetation import scatter


def houses(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """Family houses in gardens along the roads: drives with cars, hedges, lawns, patios, sheds, pools."""
    cover(site, block, pick(rng, LAWNS), Material.LAWN)
    roof = one_of(rng, ["gable", "hip"])
    for centre, edge_m in frontages:
        side = np.sign(edge_m)
        at_m = rng.uniform(0, 12)
        while at_m < centre.length_m:
            plot_m = rng.uniform(15, 24)
            xy_m, heading_rad = centre.at(at_m + plot_m / 2)
            heading, outwards = float(heading_rad[0]), directions(heading_rad[0] + side * np.pi / 2)
            middle = xy_m[0] + outwards * (abs(edge_m) + 22)
            if contains(block, middle) and site.is_free(middle, heading, plot_m * 0.7, 30):
                _plot(site, rng, xy_m[0] + outwards * abs(edge_m), heading, outwards, plot_m, str(roof))
            at_m += plot_m
    scatter(site, rng, block, count=int(area_m2(block) / 100), radius_m=(1.0, 4.2))
    scatter(site, rng, block, count=int(area_m2(block) / 110), radius_m=(0.4, 1.0), is_bush=True)
    litter(site, rng, block, int(area_m2(block) / 350))


def _plot(site: Site, rng: np.random.Generator, gate_m: Points, heading: float, outwards: Points, width_m: float,
          roof: str) -> None:  # fmt: skip
    along = directions(heading)

    def at(right_m: float, deep_m: float) -> Points:
        return np.asarray(gate_m + along * right_m + outwards * deep_m)

    depth_m = rng.uniform(30, 40)
    site.paint([rectangle(at(0, depth_m / 2), heading, width_m - 0.5, depth_m)], pick(rng, LAWNS, 0.1), Material.LAWN)
    hedge = scale(pick(rng, LAWNS), 0.62)
    fences = [rectangle(at(s * width_m / 2, depth_m / 2), heading, rng.uniform(0.2, 1.1), depth_m) for s in (-1, 1)]
    site.paint(fences, hedge, Material.MEADOW)
    drive_m = one_of(rng, [-1, 1]) * (width_m / 2 - 2.4)
    drive = pick(rng, PAVEMENTS)
    site.paint([rectangle(at(drive_m, 7), heading, 3.4, 14.4)], drive, Material.PAVING)
    setback_m = rng.uniform(11, 15)
    size_m = (min(width_m - 5, rng.uniform(9, 13)), rng.uniform(7.5, 10), rng.uniform(3.5, 6.5))
    turn = weighted_choice(rng, {0.0: 0.7, np.pi / 2: 0.3}) + rng.normal(0, 0.02)
    house_m = at(-np.sign(drive_m) * 1.2, setback_m + 4)
    patio = rectangle(at(-np.sign(drive_m) * 1.2, setback_m + 11), heading, rng.uniform(4, 9), rng.uniform(3, 5))
    site.paint([patio], pick(rng, PAVEMENTS), Material.PAVING)
    build(site, rng, house_m, heading + turn, size_m, roof if rng.random() < 0.8 else "flat")
    if rng.random() < 0.7:
        parked_m = at(drive_m, rng.uniform(3.2, 6.5))
        site.park(vehicle(site, rng, 0.0), parked_m, heading + np.pi / 2 * one_of(rng, [-1, 1]) + rng.normal(0, 0.03))
        site.take(rectangle(parked_m, heading, 4, 6))
    site.take(rectangle(at(drive_m, 5), heading, 3.6, 10))
    if rng.random() < 0.4:
        build(site, rng, at(drive_m, rng.uniform(20, 28)), heading, (3.6, 2.8, 2.3), one_of(rng, ["gable", "flat"]))
    if rng.random() < 0.16:
        pool_m = at(-drive_m * 0.6, rng.uniform(26, 30))
        site.paint([rectangle(pool_m, heading, 7.2, 4.4)], (196, 192, 184), Material.PAVING)
        site.paint([rectangle(pool_m, heading, 6.2, 3.4)], vary(rng, (96, 156, 176), 0.1), Material.SMOOTH)
    if site.has_people and rng.random() < 0.35:
        spot_m = at(rng.uniform(-0.3, 0.3) * width_m, rng.uniform(4, 24))
        stand_about(site, rng, (spot_m[0] - 3, spot_m[1] - 3, spot_m[0] + 3, spot_m[1] + 3), 1)


def flats(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """City blocks: long houses along the street, courtyards with trees, cars and paths behind."""
    cover(site, block, pick(rng, LAWNS), Material.LAWN)
    roof = weighted_choice(rng, {"flat": 0.45, "hip": 0.35, "gable": 0.2})
    setback_m, height_m = rng.uniform(1, 8), rng.uniform(8, 19)
    pavement = pick(rng, PAVEMENTS)
    for centre, edge_m in frontages:
        side = np.sign(edge_m)
        at_m = rng.uniform(-10, 8)
        while at_m < centre.length_m:
            length_m, width_m = rng.uniform(16, 46), rng.uniform(11, 15)
            xy_m, heading_rad = centre.at(at_m + length_m / 2)
            outwards = directions(heading_rad[0] + side * np.pi / 2)
            middle = xy_m[0] + outwards * (abs(edge_m) + setback_m + width_m / 2)
            if contains(block, middle):
                apron = rectangle(xy_m[0] + outwards * (abs(edge_m) + (setback_m + width_m) / 2), heading_rad[0],
                                  length_m + 4, setback_m + width_m + 5)  # fmt: skip
                site.paint([apron], pavement, Material.PAVING)
                build(site, rng, middle, float(heading_rad[0]),
                      (length_m, width_m, height_m + one_of(rng, [-3.0, 0.0, 0.0, 3.0])), roof)  # fmt: skip
            at_m += length_m + one_of(rng, [0.2, 1.8, 9.0, 16.0])
    x0, y0, x1, y1 = block
    asphalt = pick(rng, ASPHALTS)
    for y in np.arange(y0 + rng.uniform(20, 34), y1 - 12, rng.uniform(30, 55)):
        _car_park_lane(site, rng, (x0, float(y), x1, float(y)), asphalt)
    scatter(site, rng, block, count=int(area_m2(block) / 90), radius_m=(1.6, 5.0), clumps=9)
    scatter(site, rng, block, count=int(area_m2(block) / 200), radius_m=(0.4, 1.1), is_bush=True)
    stand_about(site, rng, block, min(int(area_m2(block) / 900), 25))
    litter(site, rng, block, int(area_m2(block) / 300))


def _car_park_lane(site: Site, rng: np.random.Generator, lane: Block, asphalt: Colour) -> None:
    """A lane through a courtyard with bays on its sides, as far as the ground is free."""
    x0, y, x1, _ = lane
    xs = np.arange(x0, x1, 2.6)
    free = site.are_free(np.stack([xs, np.full_like(xs, y)], axis=-1))
    site.paint([box(x - 1.4, y - 2.4, x + 1.4, y + 2.4) for x in xs[free]], asphalt, Material.ASPHALT)
    share, sides = rng.uniform(0.3, 0.9), one_of(rng, [(-1,), (1,), (-1, 1)])
    for side in sides:
        bays = np.stack([xs, np.full_like(xs, y + side * 4.9)], axis=-1)
        clear = site.are_free(bays + (0, side * 3.0)) & site.are_free(bays) & free
        site.paint([rectangle(bay, 0, 2.62, 5.2) for bay in bays[clear]], asphalt, Material.ASPHALT)
        site.paint([rectangle((x - 1.3, y + side * 4.9), 0, 0.1, 4.6) for x in xs[clear]], scale(MARKING, 0.85))
        for bay in bays[clear]:
            if rng.random() < share:
                heading = np.pi / 2 * one_of(rng, [-1, 1]) + rng.normal(0, 0.03)
                site.park(vehicle(site, rng, 0.0), bay + rng.normal(0, (0.08, 0.2)), heading)
        for bay in bays[clear]:
            site.take(rectangle(bay, 0, 2.62, 5.2))
    for x in xs[free]:
        site.take(rectangle((x, y), 0, 2.8, 4.8))

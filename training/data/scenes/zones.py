"""What fills the land between the roads: lots, gardens, parks, squares, fields and yards.

Every zone works on a block (x0, y0, x1, y1) of the layout frame in metres and builds only on free ground.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.data.scenes.buildings import build
from training.data.scenes.geometry import Path, Points, blob, box, directions, ellipse, rectangle
from training.data.scenes.palette import (
    ASPHALTS,
    CONTAINERS,
    CROPS,
    GRAVELS,
    LAWNS,
    MARKING,
    PAVEMENTS,
    SOILS,
    Colour,
    Material,
    one_of,
    scale,
    vary,
    weighted_choice,
)
from training.data.scenes.site import Prop, Site
from training.data.scenes.traffic import stand_about, vehicle, walk_along
from training.data.scenes.vegetation import plant, plant_row, scatter

Block = tuple[float, float, float, float]
Frontage = tuple[Path, float]
"""A road's centre line and the distance from it to where building land begins (negative: on the left)."""
_MAX_LITTER = 60
"""in one block"""

Zone = Callable[[Site, np.random.Generator, Block, list[Frontage]], None]


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], brightness: float = 0.07) -> Colour:
    return vary(rng, one_of(rng, colours), brightness)


def cover(site: Site, block: Block, colour: Colour, material: Material) -> None:
    site.paint([box(*block)], colour, material)


def _area_m2(block: Block) -> float:
    return max(0.0, block[2] - block[0]) * max(0.0, block[3] - block[1])


def _contains(block: Block, xy_m: Points) -> bool:
    return bool(block[0] < xy_m[0] < block[2] and block[1] < xy_m[1] < block[3])


def litter(site: Site, rng: np.random.Generator, block: Block, count: int) -> None:
    """Bins, boxes, signs, stones: small things that are no objects."""
    spots_m = rng.uniform(block[:2], block[2:], (min(count, _MAX_LITTER), 2))
    for xy_m in spots_m[site.are_free(spots_m)]:
        kind, turn = rng.random(), rng.uniform(0, np.pi)
        if kind < 0.4:
            outline, height_m = rectangle(xy_m, turn, rng.uniform(0.6, 2.0), rng.uniform(0.5, 1.1)), 1.1
            colour = pick(rng, ((70, 82, 70), (92, 92, 94), (150, 150, 148), (130, 108, 84), (60, 74, 96)))
        elif kind < 0.7:
            outline, height_m = blob(rng, xy_m, rng.uniform(0.2, 0.7), 8), 0.4
            colour = pick(rng, GRAVELS, 0.15)
        else:
            outline, height_m = ellipse(xy_m, 0, 0.35, 0.35, 8), 3.5
            colour = pick(rng, ((190, 190, 188), (110, 112, 114)))
        site.props.append(Prop(outline_m=outline, height_m=height_m, colour=colour))


def parking_lot(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """Rows of marked bays, aisles, a few trees on islands; a large shop where there is room."""
    cover(site, block, pick(rng, LAWNS), Material.LAWN)
    x0, y0, x1, y1 = block
    if y1 - y0 > 95:  # the rest stays green
        y0, y1 = (y0, y0 + 90) if y0 > -90 else (y1 - 90, y1)
        park(site, rng, (x0, y1, x1, block[3]) if y1 < block[3] else (x0, block[1], x1, y0), frontages)
    inset = (x0 + 3, y0 + 3, x1 - 3, y1 - 3)
    asphalt = pick(rng, ASPHALTS)
    cover(site, inset, asphalt, Material.ASPHALT)
    depth_m = y1 - y0
    if depth_m > 60 and rng.random() < 0.7:
        is_top = abs(y0) > abs(y1)
        shop_m = min(depth_m * 0.45, 45)
        middle = (y0 + 4 + shop_m / 2) if is_top else (y1 - 4 - shop_m / 2)
        centre = np.array([(x0 + x1) / 2, middle])
        build(
            site, rng, centre, 0.0, (min(x1 - x0 - 14, 90), shop_m, rng.uniform(6, 9)), one_of(rng, ["flat", "metal"])
        )
    paint = scale(MARKING, rng.uniform(0.7, 1.0))
    share = rng.uniform(0.25, 0.92)
    bay_m, row_m, aisle_m = 2.55, 5.0, 6.2
    lines: list[Points] = []
    for pair, y in enumerate(np.arange(y0 + 6, y1 - 2 * row_m - 4, 2 * row_m + aisle_m)):
        row_share = share * rng.uniform(0.5, 1.15)
        for half in (0, 1):
            near = y + half * row_m
            xs = np.arange(x0 + 8, x1 - 8, bay_m)
            middles = np.stack([xs + bay_m / 2, np.full_like(xs, near + row_m / 2)], axis=-1)
            free = site.are_free(middles) & site.are_free(middles + (0, 3.2)) & site.are_free(middles - (0, 3.2))
            for x, middle, is_free in zip(xs, middles, free, strict=True):
                if not is_free:
                    continue
                lines.append(box(x - 0.06, near, x + 0.06, near + row_m))
                if rng.random() < row_share:
                    heading = np.pi / 2 * (1 if half == (rng.random() < 0.8) else -1)
                    site.park(
                        vehicle(site, rng, 0.0), middle + rng.normal(0, (0.1, 0.25)), heading + rng.normal(0, 0.03)
                    )
        if lines and pair % 2 == 0:
            lines.append(box(x0 + 8, y + row_m - 0.06, x1 - 8, y + row_m + 0.06))
        if rng.random() < 0.5:
            for x in np.arange(x0 + 10, x1 - 10, one_of(rng, [7, 10]) * bay_m):
                if site.is_free((x, y + row_m), 0.0, 3, 8) and rng.random() < 0.7:
                    plant(site, rng, np.array([x, y + row_m]), rng.uniform(1.3, 2.4))
    site.paint(lines, paint)
    walk_along(site, rng, Path(np.array([[x0, (y0 + y1) / 2], [x1, (y0 + y1) / 2]])), depth_m * 0.7, 5)
    litter(site, rng, inset, int(_area_m2(block) / 500))


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
            if _contains(block, middle) and site.is_free(middle, heading, plot_m * 0.7, 30):
                _plot(site, rng, xy_m[0] + outwards * abs(edge_m), heading, outwards, plot_m, str(roof))
            at_m += plot_m
    scatter(site, rng, block, count=int(_area_m2(block) / 100), radius_m=(1.0, 4.2))
    scatter(site, rng, block, count=int(_area_m2(block) / 110), radius_m=(0.4, 1.0), is_bush=True)
    litter(site, rng, block, int(_area_m2(block) / 350))


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
            if _contains(block, middle):
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
    scatter(site, rng, block, count=int(_area_m2(block) / 90), radius_m=(1.6, 5.0), clumps=9)
    scatter(site, rng, block, count=int(_area_m2(block) / 200), radius_m=(0.4, 1.1), is_bush=True)
    stand_about(site, rng, block, min(int(_area_m2(block) / 900), 25))
    litter(site, rng, block, int(_area_m2(block) / 300))


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


def park(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """Lawns with winding paths, groups of trees, people."""
    cover(site, block, pick(rng, LAWNS), Material.LAWN)
    x0, y0, x1, y1 = block
    gravel = pick(rng, GRAVELS)
    for _ in range(int(rng.integers(1, 4))):
        ends = rng.uniform((x0, y0), (x1, y1), (4, 2))
        axis = int(rng.integers(2))
        ends[:, axis] = np.linspace(block[axis], block[axis + 2], 4)
        t = np.linspace(0, 1, 24)[:, None]
        weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
        path, width_m = Path(weights @ ends), rng.uniform(1.6, 3.2)
        site.paint([path.strip(-width_m / 2, width_m / 2)], gravel, Material.GRAVEL)
        walk_along(site, rng, path, width_m, 7)
        site.take(path.strip(-width_m / 2, width_m / 2))
    scatter(site, rng, block, count=int(_area_m2(block) / 60), radius_m=(2.0, 6.5), clumps=int(rng.integers(4, 12)))
    scatter(site, rng, block, count=int(_area_m2(block) / 250), radius_m=(0.5, 1.4), is_bush=True)
    stand_about(site, rng, block, min(int(_area_m2(block) / 700), 30))


def square(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """A paved square with slabs, beds, rows of trees and many people."""
    paving = pick(rng, PAVEMENTS)
    cover(site, block, paving, Material.PAVING)
    x0, y0, x1, y1 = block
    step_m, band = rng.uniform(5, 11), scale(paving, one_of(rng, [0.86, 0.92, 1.08]))
    site.paint([box(x, y0, x + 0.4, y1) for x in np.arange(x0, x1, step_m)], band)
    site.paint([box(x0, y, x1, y + 0.4) for y in np.arange(y0, y1, step_m)], band)
    for _ in range(int(_area_m2(block) / 900)):
        centre, size = rng.uniform((x0, y0), (x1, y1)), rng.uniform(4, 16, 2)
        if site.is_free(centre, 0, size[0] + 2, size[1] + 2):
            site.paint([rectangle(centre, 0, size[0] + 0.6, size[1] + 0.6)], scale(paving, 1.2), Material.CONCRETE)
            site.paint([rectangle(centre, 0, *size)], pick(rng, LAWNS), Material.LAWN)
            plant(site, rng, centre, rng.uniform(1.0, 2.6))
            site.take(rectangle(centre, 0, *size))
    plant_row(site, rng, Path(np.array([[x0 + 4, y0 + 6], [x1 - 4, y0 + 6]])), spacing_m=9, radius_m=2.0)
    plant_row(site, rng, Path(np.array([[x0 + 4, y1 - 6], [x1 - 4, y1 - 6]])), spacing_m=9, radius_m=2.0)
    if rng.random() < 0.7:
        build(site, rng, rng.uniform((x0 + 10, y0 + 10), (x1 - 10, y1 - 10)), 0.0, (14, 9, 4.0), "flat")
    stand_about(site, rng, block, min(int(_area_m2(block) / rng.uniform(150, 600)), 45))
    litter(site, rng, block, int(_area_m2(block) / 160))


def field_land(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """Fields of different crops, tracks and hedgerows between them."""
    cover(site, block, pick(rng, LAWNS), Material.MEADOW)
    x0, y0, x1, y1 = block
    splits = np.concatenate([[x0], np.sort(rng.uniform(x0, x1, int(rng.integers(1, 4)))), [x1]])
    for left, right in zip(splits[:-1], splits[1:], strict=True):
        kind = rng.random()
        colours, material = ((CROPS, Material.CROP) if kind < 0.55 else (SOILS, Material.SOIL) if kind < 0.8
                             else (LAWNS, Material.MEADOW))  # fmt: skip
        cover(site, (left + 1.2, y0 + 2.5, right - 1.2, y1 - 1), pick(rng, colours, 0.09), material)
        if material == Material.CROP:
            ruts = [box(x, y0 + 2.5, x + 0.5, y1 - 1) for x in np.arange(left + 8, right - 4, 18.0)]
            ruts += [rut + (1.8, 0) for rut in ruts]
            site.stain(ruts, -0.16)
        if rng.random() < 0.5:
            hedge = Path(np.array([[right, y0 + 4], [right, y1]]))
            plant_row(site, rng, hedge, spacing_m=rng.uniform(3, 9), radius_m=rng.uniform(1.4, 3.0))
    if rng.random() < 0.35:
        y = rng.uniform(y0 + 10, y1 - 10)
        track = Path(np.array([[x0, y], [x1, y + rng.normal(0, 6)]]))
        site.paint([track.strip(-1.8, -0.6), track.strip(0.6, 1.8)], pick(rng, SOILS), Material.GRAVEL)
        walk_along(site, rng, track, 2, 1.5)
    litter(site, rng, block, int(_area_m2(block) / 2500))


def yard(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """A works yard: halls with metal roofs, docked lorries, containers, parked vans."""
    ground = pick(rng, ((150, 146, 140), (118, 116, 114), (136, 130, 120)))
    cover(site, block, ground, Material.CONCRETE)
    x0, y0, x1, y1 = block
    for x in np.arange(x0 + 8, x1 - 30, 62.0):
        length_m, width_m = rng.uniform(30, 50), rng.uniform(18, 30)
        centre = np.array([x + length_m / 2, (y0 + y1) / 2 + rng.normal(0, 6)])
        if build(site, rng, centre, 0.0, (length_m, width_m, rng.uniform(6, 10)), "metal"):
            for dock in np.arange(centre[0] - length_m / 2 + 3, centre[0] + length_m / 2 - 3, 4.5):
                for side in (-1, 1):
                    appearance = vehicle(site, rng, 0.7)
                    reach_m = width_m / 2 + 1 + appearance.length_m / 2
                    spot = np.array([dock, centre[1] + side * reach_m])
                    if rng.random() < 0.25 and site.is_free(spot, np.pi / 2, appearance.length_m, 3):
                        site.park(appearance, spot, side * np.pi / 2)
                        site.take(rectangle(spot, np.pi / 2, appearance.length_m, 3))
    joint_m = rng.uniform(6, 14)
    joints = [box(x, y0, x + 0.15, y1) for x in np.arange(x0, x1, joint_m)]
    joints += [box(x0, y, x1, y + 0.15) for y in np.arange(y0, y1, joint_m)]
    site.paint(joints, scale(ground, 0.88))
    for _ in range(min(int(_area_m2(block) / 350), 70)):
        spot, turn = rng.uniform((x0 + 4, y0 + 4), (x1 - 4, y1 - 4)), one_of(rng, [0, np.pi / 2])
        kind = rng.random()
        if kind < 0.5 and site.is_free(spot, turn, 13, 8):
            for row in range(int(rng.integers(1, 4))):
                outline = rectangle(spot + (0, row * 2.6) if turn == 0 else spot + (row * 2.6, 0), turn,
                                    one_of(rng, [6.1, 12.2]), 2.44)  # fmt: skip
                site.props.append(Prop(outline_m=outline, height_m=2.6, colour=pick(rng, CONTAINERS)))
                site.take(outline)
        elif site.is_free(spot, turn, 9, 4):
            appearance = vehicle(site, rng, 0.35)
            site.park(appearance, spot, turn + rng.normal(0, 0.05))
            site.take(rectangle(spot, turn, appearance.length_m + 1, 3.5))
    dirt = [blob(rng, xy_m, rng.uniform(1, 7)) for xy_m in rng.uniform((x0, y0), (x1, y1), (24, 2))]
    site.stain(dirt, -0.12)
    stand_about(site, rng, block, min(int(_area_m2(block) / 900), 25))
    litter(site, rng, block, int(_area_m2(block) / 140))


def wood(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """Trees close together, clearings with tall grass."""
    cover(site, block, scale(pick(rng, LAWNS), 0.8), Material.MEADOW)
    clumps = int(rng.integers(4, 10))
    scatter(site, rng, block, count=int(_area_m2(block) / 30), radius_m=(2.5, 6.5), clumps=clumps)
    scatter(site, rng, block, count=int(_area_m2(block) / 160), radius_m=(0.5, 1.5), is_bush=True)


ZONES: dict[str, Zone] = {
    "parking": parking_lot, "houses": houses, "flats": flats, "park": park, "square": square, "field": field_land,
    "yard": yard, "wood": wood,
}  # fmt: skip

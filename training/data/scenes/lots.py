"""Land for vehicles: car parks with their shops, and works yards."""

from __future__ import annotations

import numpy as np

from tinydet.training.data.scenes.block import Block, Frontage, area_m2, cover, litter, pick
from tinydet.training.data.scenes.buildings import build
from tinydet.training.data.scenes.geometry import Path, Points, blob, box, rectangle
from tinydet.training.data.scenes.open_land import park
from tinydet.training.data.scenes.palette import ASPHALTS, CONTAINERS, LAWNS, MARKING, Material, one_of, scale
from tinydet.training.data.scenes.site import Prop, Site
from tinydet.training.data.scenes.traffic import stand_about, vehicle, walk_along
from tinydet.training.data.scenes.vegetation import plant


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
    if depth_m > 60 and rng.random() < 0.7 and x1 - x0 > 30:
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
    litter(site, rng, inset, int(area_m2(block) / 500))


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
    for _ in range(min(int(area_m2(block) / 350), 70)):
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
    stand_about(site, rng, block, min(int(area_m2(block) / 900), 25))
    litter(site, rng, block, int(area_m2(block) / 140))

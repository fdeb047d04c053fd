"""Land without houses: parks, squares, fields, woods."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tinydet.training.data.scenes.block import Block, Frontage, area_m2, cover, litter, pick
from tinydet.training.data.scenes.buildings import build
from tinydet.training.data.scenes.geometry import Path, box, rectangle
from tinydet.training.data.scenes.palette import CROPS, GRAVELS, LAWNS, PAVEMENTS, SOILS, Material, one_of, scale
from tinydet.training.data.scenes.site import Site
from tinydet.training.data.scenes.traffic import stand_about, walk_along
from tinydet.training.data.scenes.vegetation import plant, plant_row, scatter


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
    scatter(site, rng, block, count=int(area_m2(block) / 60), radius_m=(2.0, 6.5), clumps=int(rng.integers(4, 12)))
    scatter(site, rng, block, count=int(area_m2(block) / 250), radius_m=(0.5, 1.4), is_bush=True)
    stand_about(site, rng, block, min(int(area_m2(block) / 700), 30))


def square(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """A paved square with slabs, beds, rows of trees and many people."""
    paving = pick(rng, PAVEMENTS)
    cover(site, block, paving, Material.PAVING)
    x0, y0, x1, y1 = block
    step_m, band = rng.uniform(5, 11), scale(paving, one_of(rng, [0.86, 0.92, 1.08]))
    site.paint([box(x, y0, x + 0.4, y1) for x in np.arange(x0, x1, step_m)], band)
    site.paint([box(x0, y, x1, y + 0.4) for y in np.arange(y0, y1, step_m)], band)
    for _ in range(int(area_m2(block) / 900)):
        centre, size = rng.uniform((x0, y0), (x1, y1)), rng.uniform(4, 16, 2)
        if site.is_free(centre, 0, size[0] + 2, size[1] + 2):
            site.paint([rectangle(centre, 0, size[0] + 0.6, size[1] + 0.6)], scale(paving, 1.2), Material.CONCRETE)
            site.paint([rectangle(centre, 0, *size)], pick(rng, LAWNS), Material.LAWN)
            plant(site, rng, centre, rng.uniform(1.0, 2.6))
            site.take(rectangle(centre, 0, *size))
    plant_row(site, rng, Path(np.array([[x0 + 4, y0 + 6], [x1 - 4, y0 + 6]])), spacing_m=9, radius_m=2.0)
    plant_row(site, rng, Path(np.array([[x0 + 4, y1 - 6], [x1 - 4, y1 - 6]])), spacing_m=9, radius_m=2.0)
    if rng.random() < 0.7 and min(x1 - x0, y1 - y0) > 20:
        build(site, rng, rng.uniform((x0 + 10, y0 + 10), (x1 - 10, y1 - 10)), 0.0, (14, 9, 4.0), "flat")
    stand_about(site, rng, block, min(int(area_m2(block) / rng.uniform(150, 600)), 45))
    litter(site, rng, block, int(area_m2(block) / 160))


def field_land(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """Fields of different crops, tracks and hedgerows between them."""
    cover(site, block, pick(rng, LAWNS), Material.MEADOW)
    x0, y0, x1, y1 = block
    splits = np.concatenate([[x0], np.sort(rng.uniform(x0, x1, int(rng.integers(1, 4)))), [x1]])
    for left, right in pairwise(splits):
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
    if rng.random() < 0.35 and y1 - y0 > 20:
        y = rng.uniform(y0 + 10, y1 - 10)
        track = Path(np.array([[x0, y], [x1, y + rng.normal(0, 6)]]))
        site.paint([track.strip(-1.8, -0.6), track.strip(0.6, 1.8)], pick(rng, SOILS), Material.GRAVEL)
        walk_along(site, rng, track, 2, 1.5)
    litter(site, rng, block, int(area_m2(block) / 2500))


def wood(site: Site, rng: np.random.Generator, block: Block, frontages: list[Frontage]) -> None:
    """Trees close together, clearings with tall grass."""
    cover(site, block, scale(pick(rng, LAWNS), 0.8), Material.MEADOW)
    clumps = int(rng.integers(4, 10))
    scatter(site, rng, block, count=int(area_m2(block) / 30), radius_m=(2.5, 6.5), clumps=clumps)
    scatter(site, rng, block, count=int(area_m2(block) / 160), radius_m=(0.5, 1.5), is_bush=True)

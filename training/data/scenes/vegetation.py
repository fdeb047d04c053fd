"""Trees and bushes, and their positions."""

from __future__ import annotations

import numpy as np

from tinydet.training.data.scenes.geometry import Path, Points, directions
from tinydet.training.data.scenes.palette import TREES, one_of, vary
from tinydet.training.data.scenes.site import Site, Tree

_MAX_SCATTERED = 240
"""Largest number in a block; more crowns do not look denser."""


def plant(site: Site, rng: np.random.Generator, xy_m: Points, radius_m: float, *, is_bush: bool = False) -> None:
    """Plant a tree or bush."""
    colour = vary(rng, one_of(rng, TREES), 0.12, 0.04)
    height_m = radius_m * 1.1 if is_bush else radius_m * rng.uniform(1.7, 2.6)
    site.trees.append(Tree(x_m=float(xy_m[0]), y_m=float(xy_m[1]), radius_m=radius_m, height_m=height_m, colour=colour))


def plant_row(site: Site, rng: np.random.Generator, path: Path, *, spacing_m: float, radius_m: float,
              is_on_road: bool = False) -> None:  # fmt: skip
    """Plant a row of trees of one kind at even spacing, some missing; on free ground, or `is_on_road`."""
    colour = one_of(rng, TREES)
    spots_m, _ = path.at(np.arange(rng.uniform(0, spacing_m), path.length_m, spacing_m))
    if not is_on_road:
        spots_m = spots_m[site.are_free(spots_m)]
    for xy_m in spots_m + rng.normal(0, 0.3, spots_m.shape):
        if rng.random() < 0.82:
            radius = radius_m * rng.uniform(0.75, 1.2)
            site.trees.append(
                Tree(x_m=float(xy_m[0]), y_m=float(xy_m[1]), radius_m=radius, height_m=radius * 2.1,
                     colour=vary(rng, colour, 0.1, 0.03))
            )  # fmt: skip


def scatter(
    site: Site,
    rng: np.random.Generator,
    bounds_m: tuple[float, float, float, float],
    *,
    count: int,
    radius_m: tuple[float, float],
    clumps: int = 0,
    is_bush: bool = False,
) -> None:
    """Plant trees on free ground within (x0, y0, x1, y1), in clumps if `clumps`."""
    x0, y0, x1, y1 = bounds_m
    count = min(count, _MAX_SCATTERED)
    spots_m = rng.uniform((x0, y0), (x1, y1), (count, 2))
    if clumps:
        centres_m = rng.uniform((x0, y0), (x1, y1), (clumps, 2))
        spread_m = 0.12 * min(x1 - x0, y1 - y0) + 4
        spots_m = centres_m[rng.integers(clumps, size=count)] + rng.normal(0, spread_m, (count, 2))
        spots_m = np.clip(spots_m, (x0, y0), (x1, y1))
    radii_m = rng.uniform(*radius_m, count)
    around_m = spots_m[:, None] + 0.7 * radii_m[:, None, None] * directions(np.arange(4) * np.pi / 2)
    free = site.are_free(around_m.reshape(-1, 2)).reshape(count, 4).all(axis=1)
    for xy_m, radius in zip(spots_m[free], radii_m[free], strict=True):
        plant(site, rng, xy_m, float(radius), is_bush=is_bush)

"""Blocks of land between the roads, and helpers of the zones that fill them."""

from __future__ import annotations

import numpy as np

from tinydet.training.data.scenes.geometry import Path, Points, blob, box, ellipse, rectangle
from tinydet.training.data.scenes.palette import GRAVELS, Colour, Material, one_of, vary
from tinydet.training.data.scenes.site import Prop, Site

Block = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres of the layout frame."""
Frontage = tuple[Path, float]
"""A road's centre line, and the distance from it at which building land begins (negative: on the left)."""
_MAX_LITTER = 60
"""Largest number in a block."""


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], brightness: float = 0.07) -> Colour:
    """Pick one of the colours and vary it."""
    return vary(rng, one_of(rng, colours), brightness)


def cover(site: Site, block: Block, colour: Colour, material: Material) -> None:
    """Paint the whole block."""
    site.paint([box(*block)], colour, material)


def area_m2(block: Block) -> float:
    """Area of a block."""
    return max(0.0, block[2] - block[0]) * max(0.0, block[3] - block[1])


def contains(block: Block, xy_m: Points) -> bool:
    """Whether a point lies in a block."""
    return bool(block[0] < xy_m[0] < block[2] and block[1] < xy_m[1] < block[3])


def litter(site: Site, rng: np.random.Generator, block: Block, count: int) -> None:
    """Scatter small things that are not objects of a class: bins, boxes, signs, stones."""
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

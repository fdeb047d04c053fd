"""Draw the still part of a scene: the ground, the sunlight on it, and what stands above the traffic."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tinydet.training.data.scenes.buildings import facets, shadow_prisms
from tinydet.training.data.scenes.camera import to_linear
from tinydet.training.data.scenes.canvas import (
    SUPERSAMPLE,
    Ground,
    ImageF32,
    ImageU8,
    Paint,
    Surface,
    blur,
    fill,
    shrink,
    spread,
    times,
)
from tinydet.training.data.scenes.geometry import Affine, Points, apply, hull, split
from tinydet.training.data.scenes.palette import Material, scale
from tinydet.training.data.scenes.plan import Plan, Weather
from tinydet.training.data.scenes.site import Building, Prop, Terrace, Tree
from tinydet.training.data.scenes.textures import noise, textured

_REACH_PX = 40.0
"""Distance from the picture within which a small thing may cast a shadow into it."""
_MAX_TREES = 260


@dataclass(frozen=True, eq=False)
class StillLayers:
    """Layers (H, W, ...) of the still scene, in linear light."""

    ground_rgb: ImageF32
    """Reflectance of the ground, (H, W, 3)."""
    sun: ImageF32
    """Share of the sunlight that reaches the ground, 0-1, (H, W)."""
    cover_rgb: ImageF32
    """Light from roofs, walls and tree crowns, premultiplied by their coverage, (H, W, 3)."""
    cover: ImageF32
    """Coverage by roofs, walls and tree crowns, 0-1, (H, W)."""


def draw_still_layers(plan: Plan, hw: tuple[int, int], to_px: Affine, scale_px: float = 1.0) -> StillLayers:
    """Draw the plan; `scale_px` is the number of pixels here per pixel of the final picture."""
    gsd_m = plan.gsd_m / scale_px
    site, weather = plan.site, plan.weather
    rng = np.random.default_rng((plan.seed, 2))

    ground = Ground(hw, to_px)
    for paint in site.paints:
        ground.paint(paint)
    for terrace in site.terraces:
        for paint in _terrace(terrace, weather.lean_m_per_m):
            ground.paint(paint)
    ground.stain(site.stains, blur_px=0.35 / gsd_m)
    ground_rgb = textured(
        rng, to_linear(ground.shrunk()), ground.material, ground.stains, gsd_m=gsd_m,
        row_period_m=rng.uniform(1.2, 3.5), row_heading_rad=plan.heading_rad + rng.choice([0, np.pi / 2]),
    )  # fmt: skip

    lean_px = to_px[:, :2] @ weather.lean_m_per_m
    shadow_px = to_px[:, :2] @ weather.shadow_m_per_m
    sun = np.full((hw[0] * SUPERSAMPLE, hw[1] * SUPERSAMPLE), 255, np.uint8)
    cover = Surface(hw)
    _props(site.props, to_px, lean_px, shadow_px, sun, cover)
    for house in site.buildings:
        _house(house, weather, gsd_m, to_px, lean_px, shadow_px, sun, cover)
    for terrace in site.terraces:
        fill(sun, [swept(apply(to_px, terrace.outline_m), shadow_px * terrace.height_m)], 0, SUPERSAMPLE)
    for terrace in site.terraces:
        fill(sun, [apply(to_px, terrace.outline_m) + lean_px * terrace.height_m], 255, SUPERSAMPLE)
    shrunk_sun = shrink(sun, hw).astype(np.float32) / 255
    cover_u8, coverage = cover.shrunk()
    weathering = 1 + 0.05 * noise(rng, hw, max(1.2, 0.5 / gsd_m)) + 0.06 * noise(rng, hw, 4.0 / gsd_m)
    cover_rgb = times(to_linear(cover_u8), spread(coverage * weathering.astype(np.float32)))
    _trees(rng, site.trees, plan, gsd_m, to_px, lean_px, shadow_px, shrunk_sun, cover_rgb, coverage)
    return StillLayers(ground_rgb, blur(shrunk_sun, max(weather.penumbra_m / gsd_m, 0.3)), cover_rgb, coverage)


def _house(
    house: Building, weather: Weather, gsd_m: float, to_px: Affine, lean_px: Points, shadow_px: Points,
    sun: ImageU8, cover: Surface,
) -> None:  # fmt: skip
    for outline_m, height_m in shadow_prisms(house):
        fill(sun, [swept(apply(to_px, outline_m), shadow_px * height_m)], 0, SUPERSAMPLE)
    centre = apply(to_px, house.centre_m)
    reach = (house.length_m + house.height_m) / gsd_m
    if not (-reach < centre[0] < cover.hw[1] + reach and -reach < centre[1] < cover.hw[0] + reach):
        return
    parts = facets(house, weather.sunshine, weather.lean_m_per_m, gsd_m)
    heights_m = np.concatenate([part.heights_m for part in parts])
    outlines_m = [part.outline_m for part in parts]
    outlines = apply(to_px, np.concatenate(outlines_m)) + heights_m[:, None] * lean_px
    cover.paint(split(outlines, outlines_m), [part.colour for part in parts])


def _terrace(terrace: Terrace, lean_m_per_m: Points) -> list[Paint]:
    """Walls, parapet and roof of a terrace, where a tilted camera sees them."""
    lean_m = lean_m_per_m * terrace.height_m
    walls = swept(terrace.outline_m, lean_m)
    return [
        Paint([walls], terrace.facade, Material.SMOOTH),
        Paint([terrace.outline_m + lean_m], terrace.parapet, Material.CONCRETE),
        Paint([terrace.inner_m + lean_m], terrace.colour, Material.CONCRETE),
    ]


def swept(base: Points, shift: Points) -> Points:
    """Outline of the area that a convex base sweeps when it is shifted."""
    return hull(np.concatenate([base, base + shift]))


def _props(props: list[Prop], to_px: Affine, lean_px: Points, shadow_px: Points, sun: ImageU8, cover: Surface) -> None:
    for prop in props:
        base = apply(to_px, prop.outline_m)
        if not np.all((base[0] > -_REACH_PX) & (base[0] < (cover.hw[1] + _REACH_PX, cover.hw[0] + _REACH_PX))):
            continue
        fill(sun, [swept(base, shadow_px * prop.height_m)], 0, SUPERSAMPLE)
        side, top = swept(base, lean_px * prop.height_m), base + lean_px * prop.height_m
        cover.paint([side, top], [scale(prop.colour, 0.7), prop.colour])


def _trees(
    rng: np.random.Generator, trees: list[Tree], plan: Plan, gsd_m: float, to_px: Affine, lean_px: Points,
    shadow_px: Points, sun: ImageF32, cover_rgb: ImageF32, coverage: ImageF32,
) -> None:  # fmt: skip
    """Draw tree crowns over the picture, and their dappled shadows into the sunlight, in place."""
    hw = coverage.shape
    sunshine = plan.weather.sunshine
    leaves = noise(rng, (hw[0], hw[1]), max(1.6, 0.9 / gsd_m)) + 0.6 * noise(rng, (hw[0], hw[1]), max(1.2, 0.4 / gsd_m))
    to_sun_px = -shadow_px / max(float(np.hypot(*shadow_px)), 1e-6)
    # Clumps of leaves are bumps: the slope towards the sun is bright, the slope away from it dark.
    slope_x, slope_y = cv2.Sobel(leaves, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(leaves, cv2.CV_32F, 0, 1, ksize=3)
    relief = -(slope_x * to_sun_px[0] + slope_y * to_sun_px[1]) / 8 * np.float32(0.35 + sunshine.direct)
    for tree, base in _trees_in(rng, trees, to_px, (hw[0], hw[1])):
        radius = tree.radius_m / gsd_m
        shade = base + shadow_px * tree.height_m * 0.65
        window = _window(shade, radius, hw)
        if window is not None:
            rows, columns, reach, _, _ = window
            density = np.clip((1.05 - reach + 0.17 * leaves[rows, columns]) * 5, 0, 0.88)
            sun[rows, columns] *= 1 - density
        crown = base + lean_px * tree.height_m * 0.7
        ragged = np.float32(0.06 + 0.1 * min(radius / 14, 1.0))
        window = _window(crown, radius, hw)
        if window is None:
            continue
        rows, columns, reach, dx, dy = window
        alpha = np.clip((1.0 - reach + ragged * leaves[rows, columns]) * max(radius * 0.55, 1.6), 0, 1)
        dome = (dx * to_sun_px[0] + dy * to_sun_px[1]) * np.float32(0.25 + 0.75 * sunshine.direct)
        light = 1.0 + 0.95 * relief[rows, columns] + 0.5 * dome + 0.10 * leaves[rows, columns]
        light = np.clip(light - 0.25 * reach**4, 0.14, 1.9)
        colour = (np.array(tree.colour, np.float32) / 255) ** 2.2
        keep = 1 - alpha
        cover_rgb[rows, columns] *= keep[..., None]
        cover_rgb[rows, columns] += (alpha * light)[..., None] * colour
        coverage[rows, columns] = 1 - (1 - coverage[rows, columns]) * keep


def _trees_in(
    rng: np.random.Generator, trees: list[Tree], to_px: Affine, hw: tuple[int, int]
) -> list[tuple[Tree, Points]]:
    """Trees that may touch the picture, with their positions in it, low ones first; not more than look dense."""
    if not trees:
        return []
    xy_px = apply(to_px, np.array([(tree.x_m, tree.y_m) for tree in trees]))
    near = np.flatnonzero(np.all((xy_px > -_REACH_PX) & (xy_px < (hw[1] + _REACH_PX, hw[0] + _REACH_PX)), axis=1))
    limit = int(_MAX_TREES * max(1.0, hw[0] * hw[1] / 640**2))
    if len(near) > limit:
        near = rng.choice(near, limit, replace=False)
    return sorted(((trees[i], xy_px[i]) for i in near), key=lambda pair: pair[0].height_m)


def _window(
    centre: Points, radius: float, hw: tuple[int, ...]
) -> tuple[slice, slice, ImageF32, ImageF32, ImageF32] | None:
    """Rows and columns around a disc, distances from its centre and x, y offsets in radii; None outside the picture."""
    reach = radius * 1.4 + 1
    x0, x1 = max(int(centre[0] - reach), 0), min(int(centre[0] + reach) + 1, hw[1])
    y0, y1 = max(int(centre[1] - reach), 0), min(int(centre[1] + reach) + 1, hw[0])
    if x0 >= x1 or y0 >= y1:
        return None
    dx = ((np.arange(x0, x1, dtype=np.float32) + 0.5 - np.float32(centre[0])) / np.float32(radius))[None, :]
    dy = ((np.arange(y0, y1, dtype=np.float32) + 0.5 - np.float32(centre[1])) / np.float32(radius))[:, None]
    return slice(y0, y1), slice(x0, x1), np.sqrt(dx * dx + dy * dy), dx, dy

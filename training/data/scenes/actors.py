"""Draw the objects of a scene onto its still layers, and find the exact box of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinydet.training.data.scenes.camera import to_linear
from tinydet.training.data.scenes.canvas import SUPERSAMPLE, ImageF32, Surface, blur, fill, shrink
from tinydet.training.data.scenes.geometry import Affine, Points, apply, hull, place, split
from tinydet.training.data.scenes.plan import Weather
from tinydet.training.data.scenes.site import Actor

_FINE = 5
"""Resolution at which objects are drawn, relative to the picture."""
_MIN_INSIDE_SHARE = 0.4
_MIN_VISIBLE_SHARE = 0.35
_MIN_SIDE_PX = 1.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Silhouette:
    """An actor at one moment, in pixels of the picture."""

    actor: Actor
    xy_px: Points
    outlines_px: list[Points]
    """Outline of each layer, shifted by its height under the camera's tilt."""
    shadow_px: Points
    bounds_px: Points
    """x0, y0, x1, y1 of the body, (4,)."""


def silhouette(actor: Actor, pose: tuple[Points, float], to_px: Affine, weather: Weather) -> Silhouette:
    """Project an actor at a pose (position in metres, heading) into the picture."""
    xy_m, heading = pose
    look = actor.appearance
    flat = apply(to_px, place(look.points_m, xy_m, heading))
    leaning = flat + look.heights_m[:, None] * (to_px[:, :2] @ weather.lean_m_per_m)
    body = leaning[look.is_body]
    # The shadow is the hull of all layers, each thrown as far as it is high, and of the lowest one on the ground.
    thrown = flat + look.heights_m[:, None] * (to_px[:, :2] @ weather.shadow_m_per_m)
    return Silhouette(
        actor=actor,
        xy_px=apply(to_px, xy_m),
        outlines_px=split(leaning, look.outlines_m),
        shadow_px=hull(np.concatenate([flat[: len(look.outlines_m[0])], thrown])),
        bounds_px=np.concatenate([body.min(axis=0), body.max(axis=0)]),
    )


def draw_shadows(
    hw: tuple[int, int], silhouettes: Sequence[Silhouette], softness_px: float
) -> tuple[ImageF32, ImageF32]:
    """Draw the shares of sunlight and of skylight that the objects leave on the ground, both 0-1 (H, W).

    Objects cast a shadow into the first, and darken the second under and close to their bodies.
    """
    masks = []
    for outlines, strength, blur_px in (
        ([shape.shadow_px for shape in silhouettes], 0.95, max(softness_px, 0.3)),
        ([shape.outlines_px[0] for shape in silhouettes], 0.75, max(softness_px, 0.9)),
    ):
        fine = np.full((hw[0] * SUPERSAMPLE, hw[1] * SUPERSAMPLE), 255, np.uint8)
        fill(fine, outlines, int(255 * (1 - strength)), SUPERSAMPLE)
        light = shrink(fine, hw).astype(np.float32) / 255
        masks.append(blur(light, blur_px))
    return masks[0], masks[1]


def _patch(low: Points, high: Points, hw: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    x0, y0 = max(int(np.floor(low[0])), 0), max(int(np.floor(low[1])), 0)
    x1, y1 = min(int(np.ceil(high[0])), hw[1]), min(int(np.ceil(high[1])), hw[0])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def draw_body(light_rgb: ImageF32, irradiance_rgb: ImageF32, shape: Silhouette, weather: Weather) -> None:
    """Draw an object over the lit picture (H, W, 3), in place; `irradiance_rgb` (3,) is the light at its position."""
    hw = light_rgb.shape[:2]
    everything = np.concatenate(shape.outlines_px)
    patch = _patch(everything.min(axis=0) - 1, everything.max(axis=0) + 1, hw)
    if patch is None:
        return
    x0, y0, x1, y1 = patch
    small_hw = (y1 - y0, x1 - x0)
    surface = Surface(small_hw, _FINE)
    layers = shape.actor.appearance.layers
    surface.paint([outline - (x0, y0) for outline in shape.outlines_px], [layer.colour for layer in layers])
    rgb, alpha = surface.shrunk()
    colour = to_linear(rgb)
    gloss = _gloss(shape, small_hw, (x0, y0), weather)
    region = light_rgb[y0:y1, x0:x1]
    region *= (1 - alpha)[..., None]
    shaded = colour * (1 + 0.25 * gloss)[..., None] + 0.02 * np.maximum(gloss, 0)[..., None]
    region += alpha[..., None] * irradiance_rgb * shaded


def _gloss(shape: Silhouette, hw: tuple[int, int], origin: tuple[int, int], weather: Weather) -> ImageF32:
    """Shading of curved panels, -1 to 1 across the body: lighter towards the sun, darker away from it."""
    x0, y0, x1, y1 = shape.bounds_px
    x = (np.arange(hw[1], dtype=np.float32) + origin[0] + 0.5 - (x0 + x1) / 2) / max((x1 - x0) / 2, 1)
    y = (np.arange(hw[0], dtype=np.float32) + origin[1] + 0.5 - (y0 + y1) / 2) / max((y1 - y0) / 2, 1)
    direct = weather.sunshine.direct
    away = shape.shadow_px.mean(axis=0) - shape.xy_px
    away = away / max(float(np.hypot(*away)), 1e-6)
    slope = -(x[None, :] * away[0] + y[:, None] * away[1]) * (0.3 + direct)
    return np.asarray(np.clip(slope, -1, 1), np.float32)


def boxes(silhouettes: Sequence[Silhouette], cover: ImageF32) -> tuple[list[Silhouette], ImageF32]:
    """Select the visible objects, with their boxes (N, 4) x0 y0 x1 y1 in pixels, clipped to the picture.

    Left out are objects mostly outside the picture, mostly under a crown or behind a roof, or too small to see. The box
    of a partly hidden object is that of its visible part.
    """
    hw = cover.shape
    kept: list[Silhouette] = []
    found: list[Points] = []
    for shape in silhouettes:
        low, high = shape.bounds_px[:2], shape.bounds_px[2:]
        clipped = np.concatenate([np.clip(low, 0, (hw[1], hw[0])), np.clip(high, 0, (hw[1], hw[0]))])
        size, inside = high - low, clipped[2:] - clipped[:2]
        if inside.min() < _MIN_SIDE_PX or inside.prod() < _MIN_INSIDE_SHARE * size.prod():
            continue
        seen = _seen(shape, clipped, cover)
        if seen is None or (seen[2:] - seen[:2]).min() < _MIN_SIDE_PX:
            continue
        kept.append(shape)
        found.append(seen)
    return kept, np.array(found, np.float32).reshape(-1, 4)


def _seen(shape: Silhouette, clipped: Points, cover: ImageF32) -> Points | None:
    patch = _patch(clipped[:2], clipped[2:], cover.shape)
    if patch is None:
        return None
    x0, y0, x1, y1 = patch
    above = cover[y0:y1, x0:x1]
    if above.max() < 0.3:
        return clipped
    mask = np.zeros(above.shape, np.uint8)
    for outline, layer in zip(shape.outlines_px, shape.actor.appearance.layers, strict=True):
        if layer.is_body:
            fill(mask, [outline - (x0, y0)], 1, 1.0)
    visible = (mask > 0) & (above < 0.5)
    if visible.sum() < _MIN_VISIBLE_SHARE * max(int(mask.sum()), 1):
        return None
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    edges = np.array([x0 + columns[0], y0 + rows[0], x0 + columns[-1] + 1, y0 + rows[-1] + 1], np.float64)
    # Edges that nothing hides keep their exact place.
    return np.where(np.abs(edges - clipped) <= 1.0, clipped, edges)

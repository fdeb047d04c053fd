"""Render one picture of a scene, with its boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.training.data.scenes.actors import Silhouette, boxes, draw_body, draw_shadows, silhouette
from tinydet.training.data.scenes.buildings import Sunshine
from tinydet.training.data.scenes.camera import Camera, expose, luminance, make_camera
from tinydet.training.data.scenes.canvas import ImageF32, ImageU8, spread, times
from tinydet.training.data.scenes.decoys import make_decoy_plan, select
from tinydet.training.data.scenes.geometry import Affine, apply
from tinydet.training.data.scenes.plan import Plan, Weather, make_plan
from tinydet.training.data.scenes.site import Actor
from tinydet.training.data.scenes.still_layers import StillLayers, draw_still_layers

SCENE_CLASSES = ("small-vehicle", "large-vehicle", "person")

_REACH_PX = 45.0
"""Reach of half a lorry and its shadow."""
_SKYLIGHT_RGB = (0.90, 0.98, 1.15)
_SUNLIGHT_RGB = (1.04, 1.0, 0.93)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A rendered picture and its objects."""

    image_rgb: ImageU8
    """(H, W, 3)"""
    boxes_xyxy_px: npt.NDArray[np.float32]
    """Bounds of every object's visible body, without its shadow, (N, 4)."""
    class_ids: npt.NDArray[np.int64]
    """Indices into SCENE_CLASSES, (N,)."""
    decoys_xyxy_px: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """Bounds of the decoys, which look like objects and are background, (M, 4)."""


def render_scene(seed: int, size_hw: tuple[int, int] = (640, 640), *, decoys: bool = False) -> Scene:
    """Render a top-down drone picture (H, W); the same seed gives the same bytes on the same platform.

    With `decoys`, small vehicles on streets and yards, and as many decoys on roofs and fields that look the same.
    """
    plan = make_decoy_plan(seed, size_hw) if decoys else make_plan(seed, size_hw)
    to_px = plan.to_px(size_hw)
    layers = draw_still_layers(plan, size_hw, to_px)
    actors = select(plan, layers, to_px) if decoys else plan.site.actors
    shapes = silhouettes_in(actors, 0.0, to_px, plan.weather, size_hw)
    camera = camera_for(plan, layers)
    light = compose(layers, shapes, plan.weather, plan.gsd_m)
    kept, boxes_px = boxes(shapes, layers.cover)
    is_decoy = np.array([shape.actor.is_decoy for shape in kept], bool)
    class_ids = np.array([shape.actor.appearance.class_id for shape in kept], np.int64)
    return Scene(
        image_rgb=expose(light, camera, np.random.default_rng((seed, 4))),
        boxes_xyxy_px=boxes_px[~is_decoy],
        class_ids=class_ids[~is_decoy],
        decoys_xyxy_px=boxes_px[is_decoy],
    )


def camera_for(plan: Plan, layers: StillLayers) -> Camera:
    """Make the scene's camera, exposed for the still scene: passing objects do not change the exposure."""
    meter = StillLayers(*(np.ascontiguousarray(layer[::4, ::4]) for layer in astuple(layers)))
    still = compose(meter, [], plan.weather, 4 * plan.gsd_m)
    return make_camera(np.random.default_rng((plan.seed, 3)), luminance(still))


def silhouettes_in(
    actors: Sequence[Actor], time_s: float, to_px: Affine, weather: Weather, hw: tuple[int, int]
) -> list[Silhouette]:
    """Silhouettes of the actors whose body or shadow may touch the picture."""
    shapes = []
    for actor in actors:
        pose = actor.pose(time_s)
        x, y = apply(to_px, pose[0])
        if -_REACH_PX < x < hw[1] + _REACH_PX and -_REACH_PX < y < hw[0] + _REACH_PX:
            shapes.append(silhouette(actor, pose, to_px, weather))
    return shapes


def compose(
    layers: StillLayers, shapes: Sequence[Silhouette], weather: Weather, gsd_m: float,
    *, bodies: Sequence[Silhouette] | None = None,
) -> ImageF32:  # fmt: skip
    """Compose linear light (H, W, 3): ground in sun and shade, the objects on it, roofs and crowns above.

    Of objects that are in `shapes` but not in `bodies`, only the shadows are drawn; by default all are drawn.
    """
    hw = (layers.sun.shape[0], layers.sun.shape[1])
    sun, skylight = draw_shadows(hw, shapes, max(weather.penumbra_m * 0.5 / gsd_m, 0.4))
    light = times(layers.ground_rgb, irradiance(sun * layers.sun, skylight, weather.sunshine))
    for shape in shapes if bodies is None else bodies:
        # The light on an object is that on the ground before its own shadow fell there.
        x, y = np.clip(shape.xy_px.astype(int), 0, (hw[1] - 1, hw[0] - 1))
        here = irradiance(layers.sun[y : y + 1, x : x + 1], np.ones((1, 1), np.float32), weather.sunshine)
        draw_body(light, here[0, 0], shape, weather)
    light = times(light, spread(1 - layers.cover))
    return np.asarray(cv2.add(light, layers.cover_rgb), np.float32)


def irradiance(sun: ImageF32, skylight: ImageF32, sunshine: Sunshine) -> ImageF32:
    """Light (H, W, 3) on flat ground: bluish skylight and warm sunlight."""
    direct = sunshine.direct
    channels = [skylight * np.float32((1 - direct) * a) + sun * np.float32(direct * b)
                for a, b in zip(_SKYLIGHT_RGB, _SUNLIGHT_RGB, strict=True)]  # fmt: skip
    return np.asarray(cv2.merge(channels), np.float32)

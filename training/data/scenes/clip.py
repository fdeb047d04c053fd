"""Render a clip: a drifting camera over a still scene with moving objects, which keep their identities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.training.data.scenes.actors import boxes
from tinydet.training.data.scenes.camera import expose
from tinydet.training.data.scenes.canvas import ImageF32, ImageU8
from tinydet.training.data.scenes.geometry import Affine, Array
from tinydet.training.data.scenes.plan import Plan, make_plan
from tinydet.training.data.scenes.scene import camera_for, compose, silhouettes_in
from tinydet.training.data.scenes.still_layers import StillLayers, draw_still_layers

_CANVAS_SCALE = 1.4
"""Resolution of the still scene relative to the frames, so that resampling does not blur it."""
_MAX_SWING_SHARE = 0.2
"""Largest drift of the camera from the middle, relative to the frame's shorter side."""
_MAX_ZOOM = 0.06
_MAX_TURN_RAD = 0.12


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipFrame:
    """One frame of a clip and its objects."""

    index: int
    time_s: float
    image_rgb: ImageU8
    """(H, W, 3)"""
    boxes_xyxy_px: npt.NDArray[np.float32]
    """(N, 4), as in `Scene`."""
    class_ids: npt.NDArray[np.int64]
    """(N,)"""
    identities: npt.NDArray[np.int64]
    """Number of each object, the same in all frames, (N,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drift:
    """Drift of a hovering drone: slow sines, so that a clip can have any length."""

    swing_px: Array
    """Amplitudes (2,)."""
    zoom: float
    turn_rad: float
    periods_s: Array
    """Periods of x, y, zoom and rotation, (4,)."""
    phases_rad: Array

    def frame_to_px(self, plan: Plan, hw: tuple[int, int], time_s: float) -> Affine:
        """Map from layout metres to pixels of the frame at a time."""
        x, y, zoom, turn = np.sin(2 * np.pi * time_s / self.periods_s + self.phases_rad)
        scale, angle = 1 + self.zoom * zoom, self.turn_rad * turn
        middle = np.array([hw[1] / 2, hw[0] / 2])
        still = plan.to_px(hw)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        view = np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([view @ still[:, :2], view @ (still[:, 2] - middle) + middle + self.swing_px * (x, y)])


def make_drift(rng: np.random.Generator, plan: Plan, hw: tuple[int, int]) -> Drift:
    """Draw a drift slow enough for a hovering drone and small enough for the canvas."""
    periods_s = rng.uniform(14, 30, 4)
    # The fastest drift is 2 pi amplitude / period; a hovering drone makes up to 3 m/s.
    fastest_px = 3.0 / plan.gsd_m * periods_s[:2] / (2 * np.pi)
    return Drift(
        swing_px=np.minimum(fastest_px, _MAX_SWING_SHARE * min(hw)) * rng.uniform(0.4, 1.0, 2),
        zoom=_MAX_ZOOM * rng.uniform(0.2, 1.0),
        turn_rad=_MAX_TURN_RAD * rng.uniform(0.1, 1.0),
        periods_s=periods_s,
        phases_rad=rng.uniform(0, 2 * np.pi, 4),
    )


def render_clip(seed: int, *, frames: int, fps: float, size_hw: tuple[int, int]) -> Iterator[ClipFrame]:
    """Yield the frames (H, W) of a clip, in order."""
    swing_px = _MAX_SWING_SHARE * min(size_hw)
    # The canvas holds the frame however it is turned, zoomed and shifted.
    reach_px = np.hypot(*size_hw) / 2 * (1 + _MAX_ZOOM) * np.sin(np.arctan2(min(size_hw), max(size_hw)) + _MAX_TURN_RAD)
    half_px = np.maximum(np.array(size_hw) / 2 * (1 + _MAX_ZOOM) * 1.14, reach_px) + swing_px * 1.1 + 4
    canvas_hw = (int(2 * half_px[0] * _CANVAS_SCALE), int(2 * half_px[1] * _CANVAS_SCALE))
    outer_hw = (int(2 * half_px[0]), int(2 * half_px[1]))
    plan = make_plan(seed, outer_hw, seconds=frames / fps, busy_hw=size_hw)
    drift = make_drift(np.random.default_rng((seed, 5)), plan, size_hw)
    canvas_to_px = plan.to_px(outer_hw) * _CANVAS_SCALE
    world = draw_still_layers(plan, canvas_hw, canvas_to_px, _CANVAS_SCALE)
    camera = camera_for(plan, world)
    for index in range(frames):
        time_s = index / fps
        to_px = drift.frame_to_px(plan, size_hw, time_s)
        layers = _seen(world, canvas_to_px, to_px, size_hw)
        shapes = silhouettes_in(plan.site.actors, time_s, to_px, plan.weather, size_hw)
        light = compose(layers, shapes, plan.weather, plan.gsd_m)
        kept, boxes_px = boxes(shapes, layers.cover)
        yield ClipFrame(
            index=index,
            time_s=time_s,
            image_rgb=expose(light, camera, np.random.default_rng((seed, 6, index))),
            boxes_xyxy_px=boxes_px,
            class_ids=np.array([shape.actor.appearance.class_id for shape in kept], np.int64),
            identities=np.array([shape.actor.identity for shape in kept], np.int64),
        )


def _seen(world: StillLayers, canvas_to_px: Affine, to_px: Affine, hw: tuple[int, int]) -> StillLayers:
    """Warp the still layers into the view of the frame."""

    def square(matrix: Affine) -> Affine:
        return np.vstack([matrix, [0.0, 0.0, 1.0]])

    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # pixel centres lie half a pixel in
    frame_to_canvas = np.linalg.inv(half) @ square(canvas_to_px) @ np.linalg.inv(square(to_px)) @ half

    def warp(layer: ImageF32) -> ImageF32:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(layer, frame_to_canvas[:2], (hw[1], hw[0]), flags=flags, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(picture, np.float32)

    return StillLayers(warp(world.ground_rgb), warp(world.sun), warp(world.cover_rgb), warp(world.cover))

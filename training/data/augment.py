"""Augmentation of pictures from above, which have no upright: all eight flips and rotations are equally likely."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tinydet.edge.boxes import area
from tinydet.edge.detection.letterbox import PAD_VALUE, resize

MIN_VISIBLE_SHARE = 0.4  # an object with less than this share of its area visible becomes an ignored region
MIN_SIDE_PX = 1.5
OBJECT_CENTRED_SHARE = 0.8  # share of crops placed around a random object; the others are placed anywhere

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Crop:
    """An image and its labels.

    image_rgb: (H, W, 3) uint8. boxes_xyxy_px: (N, 4) float32, inside the image. class_ids: (N,) int64.
    ignored_xyxy_px: (M, 4) float32, regions in which nothing is positive or negative.
    """

    image_rgb: Image
    boxes_xyxy_px: Boxes
    class_ids: Ids
    ignored_xyxy_px: Boxes


def random_crop(frame: Crop, *, width: int, height: int, scale: tuple[float, float], rng: np.random.Generator) -> Crop:
    """Cut a crop of `width` x `height` pixels from `frame`, zoomed by a factor drawn log-uniformly from `scale`.

    Most crops are placed around a random object. Outside the frame the crop is padding. Boxes may reach beyond the
    frame, as they do if it is a tile of a larger image.
    """
    image_rgb, boxes_xyxy_px = frame.image_rgb, frame.boxes_xyxy_px
    zoom = math.exp(rng.uniform(math.log(scale[0]), math.log(scale[1])))
    source_w, source_h = max(1, round(width / zoom)), max(1, round(height / zoom))
    image_h, image_w = image_rgb.shape[:2]
    if len(boxes_xyxy_px) and rng.random() < OBJECT_CENTRED_SHARE:
        x1, y1, x2, y2 = np.clip(boxes_xyxy_px[rng.integers(len(boxes_xyxy_px))], 0, [image_w, image_h] * 2)
        left = (x1 + x2) / 2 - source_w * rng.uniform(0.1, 0.9)
        top = (y1 + y2) / 2 - source_h * rng.uniform(0.1, 0.9)
    else:
        left = rng.uniform(0, image_w - source_w) if image_w > source_w else (image_w - source_w) / 2
        top = rng.uniform(0, image_h - source_h) if image_h > source_h else (image_h - source_h) / 2
    # Keep the crop on the image; an image smaller than the crop lies somewhere inside it.
    x0 = round(float(np.clip(left, min(0, image_w - source_w), max(0, image_w - source_w))))
    y0 = round(float(np.clip(top, min(0, image_h - source_h), max(0, image_h - source_h))))
    source = np.full((source_h, source_w, 3), PAD_VALUE, np.uint8)
    inside = image_rgb[max(0, y0) : y0 + source_h, max(0, x0) : x0 + source_w]
    source[max(0, -y0) : max(0, -y0) + inside.shape[0], max(0, -x0) : max(0, -x0) + inside.shape[1]] = inside
    factor = np.array([width / source_w, height / source_h] * 2, np.float32)
    shift = np.array([x0, y0, x0, y0], np.float32)
    shown = (np.array([0, 0, image_w, image_h], np.float32) - shift) * factor
    return keep_visible(
        Crop(
            image_rgb=resize(source, width, height),
            boxes_xyxy_px=(boxes_xyxy_px - shift) * factor,
            class_ids=frame.class_ids,
            ignored_xyxy_px=(frame.ignored_xyxy_px - shift) * factor,
        ),
        shown_xyxy_px=np.clip(shown, 0, [width, height] * 2),
    )


def mosaic(crops: list[Crop], *, width: int, height: int, split_xy: tuple[int, int]) -> Crop:
    """Join four crops at the point `split_xy`: top left, top right, bottom left, bottom right, already sized to fit."""
    x, y = split_xy
    canvas = np.empty((height, width, 3), np.uint8)
    boxes, ignored = [], []
    for crop, (left, top) in zip(crops, ((0, 0), (x, 0), (0, y), (x, y)), strict=True):
        crop_h, crop_w = crop.image_rgb.shape[:2]
        canvas[top : top + crop_h, left : left + crop_w] = crop.image_rgb
        shift = np.array([left, top, left, top], np.float32)
        boxes.append(crop.boxes_xyxy_px + shift)
        ignored.append(crop.ignored_xyxy_px + shift)
    return Crop(
        image_rgb=canvas,
        boxes_xyxy_px=np.concatenate(boxes),
        class_ids=np.concatenate([crop.class_ids for crop in crops]),
        ignored_xyxy_px=np.concatenate(ignored),
    )


def rotate_and_flip(crop: Crop, *, quarter_turns: int, flip: bool) -> Crop:
    """Rotate counter-clockwise by right angles, then mirror left to right if `flip`; no pixel is resampled."""
    image, boxes = crop.image_rgb, np.concatenate([crop.boxes_xyxy_px, crop.ignored_xyxy_px])
    for _ in range(quarter_turns % 4):
        width = image.shape[1]
        image = np.rot90(image)
        boxes = np.stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]], axis=1)
    if flip:
        width = image.shape[1]
        image = image[:, ::-1]
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    objects, ignored = np.split(boxes, [len(crop.boxes_xyxy_px)])
    return replace(crop, image_rgb=np.ascontiguousarray(image), boxes_xyxy_px=objects, ignored_xyxy_px=ignored)


def jitter_colour(image_rgb: Image, *, strength: float, rng: np.random.Generator) -> Image:
    """Vary brightness, contrast, saturation, white balance and gamma; sometimes add blur or sensor noise."""
    if strength == 0:
        return image_rgb
    gain = np.exp(rng.normal(0, 0.15 * strength)) * np.exp(rng.normal(0, 0.05 * strength, 3))
    gamma = np.exp(rng.normal(0, 0.15 * strength))
    levels = np.clip(np.linspace(0, 1, 256)[:, None] ** gamma * gain, 0, 1)
    contrast = np.exp(rng.normal(0, 0.12 * strength))
    levels = np.clip((levels - 0.45) * contrast + 0.45, 0, 1) * 255
    image = cv2.LUT(image_rgb, levels.round().astype(np.uint8)[None])
    saturation = float(np.clip(np.exp(rng.normal(0, 0.3 * strength)), 0, 2))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    image = cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)
    kind = rng.random()
    if kind < 0.1 * strength:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.0))
    elif kind < 0.2 * strength:
        noise = rng.normal(0, rng.uniform(2, 8), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return np.asarray(image, np.uint8)


def keep_visible(crop: Crop, *, shown_xyxy_px: NDArray[np.floating[Any]]) -> Crop:
    """Clip boxes to the shown area (4,). An object with too little of its area left becomes an ignored region: a third
    of a car is neither a car nor background.
    """
    low, high = np.tile(shown_xyxy_px[:2], 2), np.tile(shown_xyxy_px[2:], 2)
    boxes = np.clip(crop.boxes_xyxy_px, low, high).astype(np.float32)
    visible = area(boxes) >= MIN_VISIBLE_SHARE * area(crop.boxes_xyxy_px)
    visible &= (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= MIN_SIDE_PX
    ignored = np.concatenate([np.clip(crop.ignored_xyxy_px, low, high), boxes[~visible]]).astype(np.float32)
    inside = (ignored[:, 2:] > ignored[:, :2]).all(1)
    return Crop(
        image_rgb=crop.image_rgb,
        boxes_xyxy_px=boxes[visible],
        class_ids=crop.class_ids[visible],
        ignored_xyxy_px=ignored[inside],
    )

"""Augmentation moves boxes exactly as it moves pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tinydet.training.data.augment import Crop, jitter_colour, mosaic, random_crop, rotate_and_flip

Image = NDArray[np.uint8]


def picture_of(boxes: NDArray[np.float32], *, width: int = 90, height: int = 60) -> Image:
    """Black with every box filled white."""
    image = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2 in boxes.round().astype(int):
        image[y1:y2, x1:x2] = 255
    return image


def white_bounds(image: Image, threshold: int = 127) -> list[int]:
    y, x = np.nonzero(image[..., 0] > threshold)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


BOX = np.array([[10, 20, 34, 29]], np.float32)
IDS = np.array([1], np.int64)
NOTHING = np.zeros((0, 4), np.float32)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarter_turns", range(4))
def test_rotation_moves_boxes_with_pixels(quarter_turns: int, flip: bool) -> None:
    crop = Crop(image_rgb=picture_of(BOX), boxes_xyxy_px=BOX, class_ids=IDS, ignored_xyxy_px=BOX)
    turned = rotate_and_flip(crop, quarter_turns=quarter_turns, flip=flip)
    assert white_bounds(turned.image_rgb) == turned.boxes_xyxy_px[0].tolist() == turned.ignored_xyxy_px[0].tolist()


def test_random_crop_moves_boxes_with_pixels() -> None:
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(50):
        frame = Crop(image_rgb=picture_of(BOX), boxes_xyxy_px=BOX, class_ids=IDS, ignored_xyxy_px=BOX)
        crop = random_crop(frame, width=64, height=64, scale=(0.5, 2.0), rng=rng)
        assert crop.image_rgb.shape == (64, 64, 3)
        if len(crop.boxes_xyxy_px) == 0:
            continue
        seen += 1
        assert np.array_equal(crop.ignored_xyxy_px, crop.boxes_xyxy_px)
        assert np.abs(np.array(white_bounds(crop.image_rgb)) - crop.boxes_xyxy_px[0]).max() <= 1.0
    assert seen > 25


def test_an_object_cut_short_by_the_border_is_neither_an_object_nor_background() -> None:
    image, box = np.zeros((40, 40, 3), np.uint8), np.array([[36.0, 0.0, 76.0, 40.0]], np.float32)
    rng = np.random.default_rng(1)
    for _ in range(20):
        frame = Crop(image_rgb=image, boxes_xyxy_px=box, class_ids=IDS, ignored_xyxy_px=NOTHING)
        crop = random_crop(frame, width=40, height=40, scale=(1.0, 1.0), rng=rng)
        assert len(crop.boxes_xyxy_px) == 0
        assert crop.ignored_xyxy_px.tolist() == [[36, 0, 40, 40]]


def test_a_box_that_reaches_over_a_tile_ends_where_the_tile_ends() -> None:
    """The tile floats in a larger crop: what lies beyond it is padding, no car."""
    tile, box = np.zeros((40, 40, 3), np.uint8), np.array([[20.0, 10.0, 60.0, 20.0]], np.float32)
    frame = Crop(image_rgb=tile, boxes_xyxy_px=box, class_ids=IDS, ignored_xyxy_px=box)
    for seed in range(10):
        crop = random_crop(frame, width=100, height=100, scale=(1.0, 1.0), rng=np.random.default_rng(seed))
        (shown,), (ignored,) = crop.boxes_xyxy_px.tolist(), crop.ignored_xyxy_px.tolist()
        y, x = np.nonzero((crop.image_rgb != 114).any(axis=2))
        assert shown == ignored == [x.min() + 20, y.min() + 10, x.max() + 1, y.min() + 20]


def test_mosaic_puts_each_crop_in_its_corner() -> None:
    split_x, split_y, width, height = 40, 25, 100, 80
    right, below = width - split_x, height - split_y
    sizes = ((split_x, split_y), (right, split_y), (split_x, below), (right, below))
    box = np.array([[2, 3, 9, 8]], np.float32)
    crops = [
        Crop(
            image_rgb=picture_of(box, width=w, height=h),
            boxes_xyxy_px=box,
            class_ids=np.array([i], np.int64),
            ignored_xyxy_px=box,
        )
        for i, (w, h) in enumerate(sizes)
    ]
    whole = mosaic(crops, width=width, height=height, split_xy=(split_x, split_y))
    assert whole.class_ids.tolist() == [0, 1, 2, 3]
    expected = picture_of(whole.boxes_xyxy_px, width=width, height=height)
    assert np.array_equal(whole.image_rgb, expected)
    assert np.array_equal(whole.ignored_xyxy_px, whole.boxes_xyxy_px)


def test_an_image_without_objects_and_smaller_than_the_crop_becomes_padding_and_image() -> None:
    speck, ids = np.full((1, 1, 3), 255, np.uint8), np.zeros(0, np.int64)
    frame = Crop(image_rgb=speck, boxes_xyxy_px=NOTHING, class_ids=ids, ignored_xyxy_px=NOTHING)
    crop = random_crop(frame, width=64, height=64, scale=(1.0, 1.0), rng=np.random.default_rng(2))
    assert crop.boxes_xyxy_px.shape == (0, 4)
    assert (crop.image_rgb == 114).all(axis=2).mean() > 0.9


def test_colour_jitter_keeps_shape_and_strength_zero_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(jitter_colour(image, strength=0.0, rng=rng), image)
    for _ in range(20):
        changed = jitter_colour(image, strength=1.0, rng=rng)
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
    assert not np.array_equal(changed, image)

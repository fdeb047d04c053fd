"""Training samples: reproducible by index, every image equally often, unlabelled classes left out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tinydet.edge.errors import InputError
from tinydet.training.data.augment import Crop, random_crop
from tinydet.training.data.crops import TrainingCrops
from tinydet.training.recipes.recipe import DataSettings


def write_dataset(folder: Path, *, grey: int, classes: list[str], images: int = 4) -> Path:
    """Images of one grey level with a box of the last class each; the level identifies the image of a pixel."""
    (folder / "train").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for index in range(images):
        cv2.imwrite(str(folder / "train" / f"{index}.png"), np.full((96, 96, 3), grey + index, np.uint8))
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 96, "height": 96} for i in range(images)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": len(classes), "bbox": [30, 30, 20, 20], "area": 400, "iscrowd": 0}
            for i in range(images)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(classes, start=1)],
    }
    (folder / "annotations" / "train.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> DataSettings:
    cars = write_dataset(tmp_path / "cars", grey=20, classes=["car"])
    both = write_dataset(tmp_path / "both", grey=200, classes=["car", "person"])
    return DataSettings(
        train=(str(cars), str(both)),
        val=str(both),
        classes=("car", "person"),
        crop_px=64,
        scale=(1.0, 1.0),
        mosaic=1.0,
        colour=0.0,
    )


@pytest.mark.parametrize(("skip", "kept"), [(0, [0, 1, 2, 3]), (1, [0, 2]), (2, [0, 3]), (9, [0])])
def test_skipped_images_are_left_out_of_every_data_set(settings: DataSettings, skip: int, kept: list[int]) -> None:
    crops = TrainingCrops(replace(settings, skip=skip), seed=3, length=40)
    assert [path.name for path in crops.image_paths] == 2 * [f"{number}.png" for number in kept]


def test_a_sample_depends_only_on_its_index(settings: DataSettings) -> None:
    first, second = (TrainingCrops(settings, seed=3, length=40) for _ in range(2))
    for index in (0, 7, 31):
        first[index + 1]  # what was drawn before must not matter
        assert np.array_equal(first[index].image_rgb, second[index].image_rgb)
        assert np.array_equal(first[index].boxes_xyxy_px, second[index].boxes_xyxy_px)
    other = TrainingCrops(settings, seed=4, length=40)
    assert any(not np.array_equal(first[index].image_rgb, other[index].image_rgb) for index in range(4))


def test_a_mosaic_never_joins_images_with_different_labelled_classes(settings: DataSettings) -> None:
    crops = TrainingCrops(settings, seed=0, length=40)
    seen: Counter[bool] = Counter()
    for index in range(40):
        sample = crops[index]
        person_marked = bool(sample.labelled[1])
        seen[person_marked] += 1
        assert sample.labelled[0]
        levels = set(np.unique(sample.image_rgb[..., 0]).tolist()) - {114}
        assert levels
        assert all((level >= 200) == person_marked for level in levels)
        assert set(sample.class_ids.tolist()) <= ({1} if person_marked else {0})
    assert min(seen[True], seen[False]) > 10


def test_every_image_is_shown_equally_often(settings: DataSettings) -> None:
    crops = TrainingCrops(replace(settings, mosaic=0.0), seed=0, length=80)
    levels = Counter(int(np.bincount(crops[index].image_rgb[..., 0].ravel()).argmax()) for index in range(80))
    assert set(levels.values()) == {10}


def test_folders_without_any_wanted_class_are_refused(settings: DataSettings) -> None:
    with pytest.raises(InputError, match=r"train.json has none of the recipe's classes: expected person; it has car"):
        TrainingCrops(replace(settings, classes=("person",)), seed=0, length=1)


def test_tiles_show_every_part_of_a_large_image_equally_often(settings: DataSettings) -> None:
    crops = TrainingCrops(replace(settings, tile_px=64, tile_overlap_px=16, mosaic=0.0), seed=0, length=40)
    windows = Counter(frame.window for frame in crops.frames)
    assert set(windows) == {(0, 0, 64, 64), (32, 0, 96, 64), (0, 32, 64, 96), (32, 32, 96, 96)}
    assert set(windows.values()) == {8}


def shown(crops: TrainingCrops, index: int) -> Crop:
    """All of a frame, as `random_crop` cuts it."""
    frame = crops.uncropped(index)
    height, width = frame.image_rgb.shape[:2]
    return random_crop(frame, width=width, height=height, scale=(1.0, 1.0), rng=np.random.default_rng(0))


def test_boxes_at_tile_borders_are_cut_with_the_tile(tmp_path: Path) -> None:
    """The box 30..50: whole in the first tile, 18 of 20 pixels a side in the others; a tile that shows 2 ignores it."""
    cars = write_dataset(tmp_path / "cars", grey=20, classes=["car"], images=1)
    settings = DataSettings(train=(str(cars),), val=str(cars), classes=("car",), tile_px=64, tile_overlap_px=16)
    crops = TrainingCrops(settings, seed=0, length=8)
    found = {frame.window[:2]: shown(crops, index) for index, frame in enumerate(crops.frames)}
    boxes = {corner: crop.boxes_xyxy_px.tolist() for corner, crop in found.items()}
    assert boxes == {
        (0, 0): [[30, 30, 50, 50]],
        (32, 0): [[0, 30, 18, 50]],
        (0, 32): [[30, 0, 50, 18]],
        (32, 32): [[0, 0, 18, 18]],
    }
    narrow = TrainingCrops(replace(settings, tile_px=48, tile_overlap_px=0), seed=0, length=8)
    last = shown(narrow, 3)
    assert narrow.frames[3].window == (48, 48, 96, 96)
    assert (last.boxes_xyxy_px.tolist(), last.ignored_xyxy_px.tolist()) == ([], [[0, 0, 2, 2]])


def test_images_too_many_for_memory_are_read_when_needed(settings: DataSettings) -> None:
    kept, read = (TrainingCrops(replace(settings, cache_gb=size), seed=0, length=8) for size in (1.0, 0.0))
    for index in range(4):
        assert np.array_equal(kept[index].image_rgb, read[index].image_rgb)
    (Path(settings.train[0]) / "train" / "0.png").unlink()
    assert kept[0].image_rgb.shape == (64, 64, 3), "decoded before, needs no file"
    with pytest.raises(InputError, match=r"0\.png"):
        [read[index] for index in range(8)]


def test_crowds_and_ignored_regions_are_neither_positive_nor_negative(settings: DataSettings, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "crowd", grey=50, classes=["car"], images=1)
    path = folder / "annotations" / "train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    content["images"][0]["ignored_regions"] = [[0, 0, 10, 5]]
    path.write_text(json.dumps(content))
    crops = TrainingCrops(replace(settings, train=(str(folder),), classes=("car",)), seed=0, length=1)
    frame = crops.uncropped(0)
    assert frame.boxes_xyxy_px.tolist() == []
    assert frame.ignored_xyxy_px.tolist() == [[0, 0, 10, 5], [30, 30, 50, 50]]

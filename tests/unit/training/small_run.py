"""A training run small enough to repeat, kill and resume in a test."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

RECIPE = """
[model]
size = "n"
weights = "random"
[data]
train = ["{data}"]
val = "{data}"
classes = ["small-vehicle"]
input_px = 64
crop_px = 64
workers = {workers}
[schedule]
epochs = 5
steps_per_epoch = 4
batch = 2
warmup_steps = 2
"""


def write_data(folder: Path) -> Path:
    """Eight noisy images with a bright rectangle each, as a COCO folder."""
    (folder / "annotations").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for index in range(8):
        pixels = rng.integers(60, 120, (96, 96, 3), dtype=np.uint8)
        x, y = (int(value) for value in rng.integers(8, 70, 2))
        pixels[y : y + 8, x : x + 14] = 230
        images.append({"id": index, "file_name": f"{index}.png", "width": 96, "height": 96})
        annotations.append({"id": index, "image_id": index, "category_id": 1, "bbox": [x, y, 14, 8], "area": 112})
        for split in ("train", "val"):
            (folder / split).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / split / f"{index}.png"), pixels)
    content = {
        "images": images,
        "annotations": [annotation | {"iscrowd": 0} for annotation in annotations],
        "categories": [{"id": 1, "name": "small-vehicle"}],
    }
    for split in ("train", "val"):
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return folder


def write_recipe(folder: Path, data: Path, *, workers: int = 0) -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(data=data, workers=workers))
    return path

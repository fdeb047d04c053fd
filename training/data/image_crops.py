"""Crops of images without labels, for distillation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset as TorchDataset

from tinydet.edge.datasets.dataset import ImageRecord, read_record
from tinydet.edge.datasets.reading import read_images
from tinydet.training.data.augment import Crop, Image, jitter_colour, random_crop, rotate_and_flip
from tinydet.training.data.batch import Sample
from tinydet.training.recipes.distillation_recipe import ImageSettings


def shuffled(index: int, count: int, *, seed: int) -> int:
    """Which of `count` items sample `index` shows: all of them once in each pass, in another order each time."""
    rounds, position = divmod(index, count)
    return int(np.random.default_rng([seed, rounds, 1]).permutation(count)[position])


class ImageCrops(TorchDataset[Sample]):
    """Crops of a split's images, drawn by index from a seed as those of `TrainingCrops`; the samples have no labels.

    Crops of the split `train` are augmented; those of `val` differ in place and zoom only.
    """

    def __init__(self, settings: ImageSettings, *, split: str, seed: int, length: int) -> None:
        self.settings = settings
        self.split = split
        self.seed = seed
        self.length = length
        folders = settings.train if split == "train" else settings.val
        self.datasets = {folder: read_images(folder, split=split) for folder in folders}
        self.records: list[ImageRecord] = [image for folder in folders for image in self.datasets[folder].images]

    @property
    def image_paths(self) -> list[Path]:
        """Image files, each once."""
        return list(dict.fromkeys(record.path for record in self.records))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        record = self.records[shuffled(index, len(self.records), seed=self.seed)]
        rng = np.random.default_rng([self.seed, index])
        size = self.settings.crop_px
        none = np.zeros((0, 4), np.float32)
        crop = Crop(
            image_rgb=read_record(record), boxes_xyxy_px=none, class_ids=np.zeros(0, np.int64), ignored_xyxy_px=none
        )
        crop = random_crop(crop, width=size, height=size, scale=self.settings.scale, rng=rng)
        if self.split == "train":
            crop = rotate_and_flip(crop, quarter_turns=int(rng.integers(4)), flip=bool(rng.integers(2)))
        return Sample(
            image_rgb=self._recolour(crop.image_rgb, rng) if self.split == "train" else crop.image_rgb,
            boxes_xyxy_px=none,
            class_ids=crop.class_ids,
            labelled=np.zeros(0, bool),
            ignored_xyxy_px=none,
            sources=(str(record.path),),
        )

    def _recolour(self, image_rgb: Image, rng: np.random.Generator) -> Image:
        image_rgb = jitter_colour(image_rgb, strength=self.settings.colour, rng=rng)
        if rng.random() >= self.settings.grey:
            return image_rgb
        grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        return cv2.cvtColor(255 - grey if rng.random() < 0.5 else grey, cv2.COLOR_GRAY2RGB).astype(np.uint8)

"""The stream of training samples: sample i of a run is always the same picture, whoever prepares it and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from edge.dataset import ImageRecord, read_dataset
from edge.errors import InputError
from edge.images import read_image
from training.data.augment import Crop, jitter_colour, mosaic, random_crop, turn
from training.data.batch import Batch, Sample, collate
from training.engine.recipe import DataSettings


class TrainingCrops(TorchDataset[Sample]):
    """Augmented crops of the training images, drawn by index from a seed; images are decoded once and kept.

    Sample i shows image perm[i mod n] of a permutation drawn for each pass over the n images, so every image is seen
    equally often. Nothing else is remembered: a run resumed at sample i goes on exactly as if it had not stopped.
    """

    def __init__(self, settings: DataSettings, *, seed: int, length: int) -> None:
        self.settings = settings
        self.seed = seed
        self.length = length
        self.records: list[ImageRecord] = []
        self.class_ids: list[NDArray[np.int64]] = []
        self.labelled: list[NDArray[np.bool_]] = []
        self.notes: list[str] = []
        self._images: dict[int, NDArray[np.uint8]] = {}
        for folder in settings.train:
            self._add(Path(folder))
        # A mosaic of images with different classes marked could teach none of them: what one lacks hides in another.
        self._labelled_alike: dict[bytes, list[int]] = {}
        for index, labelled in enumerate(self.labelled):
            self._labelled_alike.setdefault(labelled.tobytes(), []).append(index)

    def _add(self, folder: Path) -> None:
        dataset = read_dataset(folder, split="train")
        self.notes += dataset.notes
        ids = {name: index for index, name in enumerate(self.settings.classes)}
        lookup = np.array([ids.get(name, -1) for name in dataset.class_names], np.int64)
        labelled = np.array([name in dataset.class_names for name in self.settings.classes])
        if not labelled.any():
            wanted, found = ", ".join(self.settings.classes), ", ".join(dataset.class_names)
            raise InputError(f"{folder} has none of the recipe's classes: expected {wanted}; it has {found}")
        for record in dataset.images:
            self.records.append(record)
            self.class_ids.append(lookup[record.class_ids])
            self.labelled.append(labelled)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        size = self.settings.crop_px
        first = self._image_of(index)
        if rng.random() < self.settings.mosaic:
            x, y = (round(size * rng.uniform(0.3, 0.7)) for _ in range(2))
            partners = self._labelled_alike[self.labelled[first].tobytes()]
            images = [first, *rng.choice(partners, size=3).tolist()]
            sides = ((x, y), (size - x, y), (x, size - y), (size - x, size - y))
            crops = [self._crop(image, *side, rng) for image, side in zip(images, sides, strict=True)]
            crop = mosaic(crops, width=size, height=size, split_xy=(x, y))
        else:
            crop = self._crop(first, size, size, rng)
        crop = turn(crop, quarter_turns=int(rng.integers(4)), flip=bool(rng.integers(2)))
        return Sample(
            image_rgb=jitter_colour(crop.image_rgb, strength=self.settings.colour, rng=rng),
            boxes_xyxy_px=crop.boxes_xyxy_px,
            class_ids=crop.class_ids,
            labelled=self.labelled[first],
        )

    def _image_of(self, index: int) -> int:
        rounds, position = divmod(index, len(self.records))
        order = np.random.default_rng([self.seed, rounds, 1]).permutation(len(self.records))
        return int(order[position])

    def _crop(self, image: int, width: int, height: int, rng: np.random.Generator) -> Crop:
        if image not in self._images:
            self._images[image] = read_image(self.records[image].path)
        known = (self.class_ids[image] >= 0) & ~self.records[image].is_crowd
        return random_crop(
            self._images[image],
            self.records[image].boxes_xyxy_px[known],
            self.class_ids[image][known],
            width=width,
            height=height,
            scale=self.settings.scale,
            rng=rng,
        )


def batches(crops: TrainingCrops, *, batch: int, first_step: int, workers: int) -> Iterator[Batch]:
    """Batches from step `first_step` to the end of the run, prepared ahead by `workers` processes.

    Raises `InputError` when an image cannot be read.
    """
    order = range(first_step * batch, len(crops))
    loader: DataLoader[Sample] = DataLoader(
        crops,
        batch_size=batch,
        sampler=order,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_one_thread if workers else None,
        prefetch_factor=2 if workers else None,
    )
    try:
        yield from loader
    except InputError as error:
        # A worker's error arrives with its traceback as text; the last line is `module.InputError: message`.
        last_line = str(error).strip().splitlines()[-1]
        raise InputError(last_line.removeprefix(f"{InputError.__module__}.{InputError.__name__}: ")) from error


def _one_thread(worker: int) -> None:
    """OpenCV's threads do not survive a fork, and the training process needs the cores."""
    cv2.setNumThreads(0)

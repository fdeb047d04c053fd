"""Stream of training samples: sample i of a run is the same whichever process prepares it, and when."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from tinydet.edge.datasets.dataset import Dataset, ImageRecord, read_record
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detection.tiles import Tile, tiles_of
from tinydet.edge.errors import InputError
from tinydet.training import distributed as processes
from tinydet.training.data.augment import Crop, jitter_colour, mosaic, random_crop, rotate_and_flip
from tinydet.training.data.batch import Batch, Sample, collate
from tinydet.training.data.class_map import map_known_classes
from tinydet.training.data.image_crops import ImageCrops, shuffled
from tinydet.training.recipes.recipe import DataSettings


class Frame(NamedTuple):
    """Source of crops: an image, or a tile of one. Fields as in `Sample`."""

    record: ImageRecord
    window: Tile
    class_ids: NDArray[np.int64]
    labelled: NDArray[np.bool_]


class TrainingCrops(TorchDataset[Sample]):
    """Augmented crops of the training images, drawn by index from a seed.

    Sample i shows frame perm[i mod n], with a new permutation for each pass over the n frames, so that every frame is
    shown equally often. There is no other state: a run resumed at sample i continues as if it had not stopped.

    If all images fit into `data.cache_gb`, they are decoded before the first sample and shared by all workers;
    otherwise an image is decoded each time.
    """

    def __init__(self, settings: DataSettings, *, seed: int, length: int) -> None:
        self.settings = settings
        self.seed = seed
        self.length = length
        self.frames: list[Frame] = []
        datasets = {folder: self._read(folder) for folder in settings.train}
        known = {name for dataset in datasets.values() for name in dataset.class_names}
        self.datasets = {
            folder: map_known_classes(dataset, settings.map, settings.ignore, known=known)
            for folder, dataset in datasets.items()
        }
        for folder in settings.train:  # once for each time it is listed
            self._add(self.datasets[folder])
        # A mosaic joins images with the same labelled classes only: the others may show unlabelled objects of a class.
        self._labelled_alike: dict[bytes, list[int]] = {}
        for index, frame in enumerate(self.frames):
            self._labelled_alike.setdefault(frame.labelled.tobytes(), []).append(index)
        self._images = self._decode_all()

    def _read(self, folder: str) -> Dataset:
        dataset = read_dataset(folder, split="train")
        return replace(dataset, images=dataset.images[:: self.settings.skip + 1])

    @property
    def image_paths(self) -> list[Path]:
        """Image files, each once, in the order of the data sets."""
        return list(dict.fromkeys(frame.record.path for frame in self.frames))

    def _add(self, dataset: Dataset) -> None:
        ids = {name: index for index, name in enumerate(self.settings.classes)}
        lookup = np.array([ids.get(name, -1) for name in dataset.class_names], np.int64)
        labelled = np.array([name in dataset.class_names for name in self.settings.classes])
        if not labelled.any():
            wanted, found = ", ".join(self.settings.classes), ", ".join(dataset.class_names)
            raise InputError(
                f"{dataset.path} has none of the recipe's classes: expected {wanted}; it has {found} (data.map renames)"
            )
        for record in dataset.images:
            for window in self._windows(record):
                self.frames.append(Frame(record, window, lookup[record.class_ids], labelled))

    def _windows(self, record: ImageRecord) -> list[Tile]:
        size, overlap = self.settings.tile_px, self.settings.tile_overlap_px
        if size == 0:
            return [Tile(0, 0, record.width, record.height)]
        return tiles_of(record.width, record.height, tile_px=size, overlap_px=overlap)

    def _decode_all(self) -> dict[Path, NDArray[np.uint8]]:
        records = {frame.record.path: frame.record for frame in self.frames}
        if sum(record.width * record.height * 3 for record in records.values()) > self.settings.cache_gb * 1e9:
            return {}
        with ThreadPoolExecutor() as pool:
            return dict(zip(records, pool.map(read_record, records.values()), strict=True))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        size = self.settings.crop_px
        first = shuffled(index, len(self.frames), seed=self.seed)
        if rng.random() < self.settings.mosaic:
            x, y = (round(size * rng.uniform(0.3, 0.7)) for _ in range(2))
            partners = self._labelled_alike[self.frames[first].labelled.tobytes()]
            frames = [first, *rng.choice(partners, size=3).tolist()]
            sides = ((x, y), (size - x, y), (x, size - y), (size - x, size - y))
            crops = [self._crop(frame, *side, rng) for frame, side in zip(frames, sides, strict=True)]
            crop = mosaic(crops, width=size, height=size, split_xy=(x, y))
        else:
            frames = [first]
            crop = self._crop(first, size, size, rng)
        crop = rotate_and_flip(crop, quarter_turns=int(rng.integers(4)), flip=bool(rng.integers(2)))
        return Sample(
            image_rgb=jitter_colour(crop.image_rgb, strength=self.settings.colour, rng=rng),
            boxes_xyxy_px=crop.boxes_xyxy_px,
            class_ids=crop.class_ids,
            labelled=self.frames[first].labelled,
            ignored_xyxy_px=crop.ignored_xyxy_px,
            sources=tuple(str(self.frames[frame].record.path) for frame in frames),
        )

    def _crop(self, index: int, width: int, height: int, rng: np.random.Generator) -> Crop:
        return random_crop(self.uncropped(index), width=width, height=height, scale=self.settings.scale, rng=rng)

    def uncropped(self, index: int) -> Crop:
        """Frame `index` without augmentation; boxes may reach beyond the borders of a tile."""
        record, window, class_ids, _ = self.frames[index]
        image = self._images.get(record.path)
        image_rgb = read_record(record) if image is None else image
        boxes = record.boxes_xyxy_px
        touching = ((boxes[:, 2:] > window[:2]) & (boxes[:, :2] < window[2:])).all(1)
        known = (class_ids >= 0) & ~record.is_crowd & touching
        shift = np.array([window.left, window.top] * 2, np.float32)
        return Crop(
            image_rgb=image_rgb[window.top : window.bottom, window.left : window.right],
            boxes_xyxy_px=boxes[known] - shift,
            class_ids=class_ids[known],
            ignored_xyxy_px=np.concatenate([record.ignored_xyxy_px, boxes[record.is_crowd]]) - shift,
        )


def batches(crops: TrainingCrops | ImageCrops, *, batch: int, first_step: int, workers: int) -> Iterator[Batch]:
    """Yield this process's share of each batch from step `first_step` to the end; `workers` processes prepare them.

    Raises `InputError` when an image cannot be read.
    """
    share = batch // processes.world_size()
    order = _Order(first_step * batch + processes.rank() * share, len(crops), batch, share)
    loader: DataLoader[Sample] = DataLoader(
        crops,
        batch_size=share,
        sampler=order,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_one_thread if workers else None,
        prefetch_factor=2 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    try:
        yield from loader
    except InputError as error:
        # A worker's error arrives with its traceback as text; the last line is `module.InputError: message`.
        last_line = str(error).strip().splitlines()[-1]
        raise InputError(last_line.removeprefix(f"{InputError.__module__}.{InputError.__name__}: ")) from error


class _Order(Sampler[int]):
    """Indices `first` to `end`: `share` of every `batch`, one by one, for a list of a long run fills the memory."""

    def __init__(self, first: int, end: int, batch: int, share: int) -> None:
        self._starts, self._share = range(first, end, batch), share

    def __iter__(self) -> Iterator[int]:
        return (start + position for start in self._starts for position in range(self._share))

    def __len__(self) -> int:
        return len(self._starts) * self._share


def _one_thread(worker: int) -> None:
    """Turn off OpenCV's threads: they do not survive a fork, and the training process needs the cores."""
    cv2.setNumThreads(0)

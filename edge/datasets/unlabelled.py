"""A folder of images without labels: enough to time on, not to score on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import image_files, image_size
from tinydet.edge.datasets.reading import splits_of
from tinydet.edge.errors import InputError

NAME = "images without labels"


def is_unlabelled(path: Path) -> bool:
    """A folder of images that is no data set of any format."""
    return path.is_dir() and not splits_of(path) and bool(image_files(path))


def read_unlabelled(folder: Path) -> Dataset:
    """The images in `folder` and below, with nothing marked in them.

    Raises:
        InputError: there is none, or one has no readable header.
    """
    images = []
    for image_id, path in enumerate(image_files(folder), start=1):
        width, height = image_size(path)
        images.append(
            ImageRecord(
                image_id=image_id,
                path=path,
                width=width,
                height=height,
                boxes_xyxy_px=np.zeros((0, 4), np.float32),
                class_ids=np.zeros(0, np.int64),
                is_crowd=np.zeros(0, np.bool_),
            )
        )
    if not images:
        raise InputError(f"{folder} holds no images")
    return Dataset(path=folder, format=NAME, images=tuple(images), class_names=("object",), notes=())

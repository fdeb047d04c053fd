"""Folders of images without labels: frames to calibrate or to time on, nothing to score."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.labels import folders_in, image_files, image_size, record_of, split_of_folder

NAME = "images without labels"


def find(path: Path, split: str) -> Path | None:
    """The folder of images: the one in `path` that is named for the split if there is one, else `path`."""
    if not path.is_dir():
        return None
    folder = next((folder for folder in folders_in(path) if split_of_folder(folder.name) == split), path)
    return folder if image_files(folder) else None


def read(folder: Path) -> Dataset:
    """The images in `folder` and below, without objects. Raises `InputError` for one that has no readable header."""
    nothing = np.zeros(0, np.int64)
    records = [
        record_of(
            number,
            path,
            size=image_size(path),
            boxes_xyxy_px=np.zeros((0, 4)),
            class_ids=nothing,
            is_crowd=nothing.astype(bool),
            counts=Counter(),
        )
        for number, path in enumerate(image_files(folder), start=1)
    ]
    return Dataset(path=folder, format=NAME, images=tuple(records), class_names=("object",), notes=())

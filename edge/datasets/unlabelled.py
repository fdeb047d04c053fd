"""Folders of images without labels: for calibration and timing, not for scoring."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.labels import folders_in, image_files, record_of, split_of_folder
from tinydet.edge.files.image_header import image_size

NAME = "images without labels"


def find(path: Path, split: str) -> Path | None:
    """The folder in `path` with the split's name if there is one, else `path`; None if it has no images."""
    if not path.is_dir():
        return None
    folder = next((folder for folder in folders_in(path) if split_of_folder(folder.name) == split), path)
    return folder if image_files(folder) else None


def read(folder: Path) -> Dataset:
    """Read the images in `folder` and below. Raises `InputError` for one without a readable header."""
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

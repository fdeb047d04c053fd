"""DOTA as published: `SPLIT/images`, and in `SPLIT/labelTxt` a text file for each image, with one object per line.

    x1 y1 x2 y2 x3 y3 x4 y4 category difficult

The corners of an oriented box, in pixels, of which the upright box around it is taken. Lines `imagesource:...` and
`gsd:...` come first. Objects marked `difficult` count as crowds.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import (
    class_name,
    files_in,
    folders_in,
    images_by_stem,
    missing_images,
    notes,
    numbers_in,
    record_of,
    split_of_folder,
)
from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import LARGEST_PIXELS, image_size
from tinydet.edge.files.numbers import flag
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.text_file import read_lines

LAYOUT = "DOTA ({split}/images with {split}/labelTxt)"
NAME = "DOTA"
LABELS = "labeltxt"
HEADS = ("imagesource:", "acquisition dates:", "gsd:")

Row = tuple[list[float], str, bool]


def find(path: Path, split: str) -> Path | None:
    """The split's folder with `images` and `labelTxt`: `path`, or a folder in it."""
    if not path.is_dir():
        return None
    if _labels_in(path):
        return path if split_of_folder(path.resolve().name) in (None, split) else None
    folders = [folder for folder in folders_in(path) if split_of_folder(folder.name) == split]
    return next((folder for folder in folders if _labels_in(folder)), None)


def has_splits(path: Path) -> bool:
    """False for a folder of images and labels whose name has no split."""
    return not _labels_in(path) or split_of_folder(path.resolve().name) is not None


def _labels_in(folder: Path) -> list[Path]:
    """The label files of a split's folder, from `labelTxt` or the only folder such as `labelTxt-v1.0`."""
    if not (folder / "images").is_dir():
        return []
    found = [(inner, files_in(inner, ".txt")) for inner in folders_in(folder) if inner.name.lower().startswith(LABELS)]
    if found and not any(files for _, files in found):
        raise InputError(f"{printable(found[0][0])} holds no labels: add them, or remove the folder")
    found = [(inner, files) for inner, files in found if files]
    if len(found) > 1:
        names = ", ".join(printable(inner.name) for inner, _ in found)
        raise InputError(f"{printable(folder)} holds several versions of its labels: keep one of {names}")
    return found[0][1] if found else []


def read(folder: Path, split: str) -> Dataset:
    """Read a split. Its classes are all names in the folders of all splits, sorted, so that the splits agree.

    Raises:
        InputError: a line is not eight numbers and a category, or labels have no image.
    """
    labels = {path.stem: path for path in _labels_in(folder)}
    rows = {stem: _rows(path) for stem, path in labels.items()}
    others = folders_in(folder.parent) if split_of_folder(folder.resolve().name) else []
    beside = [other for other in others if split_of_folder(other.name) and not other.samefile(folder)]
    everywhere = [*rows.values(), *(_rows(path) for other in beside for path in _labels_in(other))]
    class_names = tuple(sorted({name for of_image in everywhere for _, name, _ in of_image}))
    ids = {name: index for index, name in enumerate(class_names)}
    images = images_by_stem(folder / "images")
    missing = [stem for stem in labels if stem not in images]
    if missing:
        raise missing_images(folder, missing, len(labels), [folder / "images"])
    counts: Counter[str] = Counter()
    records = [
        _record(number, images[stem], rows.get(stem, []), ids, counts)
        for number, stem in enumerate(sorted(images), start=1)
    ]
    return Dataset(
        path=folder, format=NAME, images=tuple(records), class_names=class_names, notes=notes(folder, counts)
    )


def _record(number: int, image: Path, rows: list[Row], ids: dict[str, int], counts: Counter[str]) -> ImageRecord:
    corners = np.array([row[0] for row in rows], np.float64).reshape(-1, 4, 2)
    return record_of(
        number,
        image,
        size=image_size(image),
        boxes_xyxy_px=np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1),
        class_ids=np.array([ids[name] for _, name, _ in rows], np.int64),
        is_crowd=np.array([difficult for _, _, difficult in rows], bool),
        counts=counts,
    )


def _rows(path: Path) -> list[Row]:
    return [_row(line, path) for line in read_lines(path) if not line.lower().startswith(HEADS)]


def _row(line: str, path: Path) -> Row:
    """Corners, category and whether it is difficult."""
    source, columns = printable(path), line.split()
    corners = numbers_in(columns[:8])
    if corners is None or len(columns) not in (9, 10) or max(map(abs, corners)) > LARGEST_PIXELS:
        expected = "expected `x1 y1 x2 y2 x3 y3 x4 y4 category difficult` a line"
        raise InputError(f"{source}: {expected}, got {shown(line)}")
    return corners, class_name(columns[8], source), len(columns) == 10 and flag(columns[9], f"{source}: difficult")

"""VisDrone-DET as published: a text file for each image, with one object per line.

    left,top,width,height,score,category,truncation,occlusion

Category 0 marks a region without annotations, 11 is `others`; objects with score 0 do not count in the benchmark. As in
its toolkit (https://github.com/VisDrone/VisDrone2018-DET-toolkit), objects that lie by half or more in ignored regions
are left out, and `others` are no objects, so detecting one is a mistake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.datasets.labels import files_in, images_by_stem, missing_images, notes, numbers_in, record_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import image_size
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.text_file import read_lines

LAYOUT = "VisDrone (images/*.jpg with annotations/*.txt, or a folder VisDrone2019-DET-{split} with both)"
NAME = "VisDrone-DET"
CLASS_NAMES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
)
IGNORED_REGION, OTHERS = 0, 11
LEFT_OUT = "boxes of the class `others`: left out, as in the benchmark"
HIDDEN = "boxes mostly inside ignored regions: left out, as in the benchmark"
FOLDERS = "images", ("DET",)


def find(path: Path, split: str) -> Path | None:
    """The split's folder with `images` and `annotations`: `path`, or a folder in it."""
    return find_folder(path, split, *FOLDERS)


def has_splits(path: Path) -> bool:
    """False for a folder of images and annotations whose name has no split."""
    return names_split(path, *FOLDERS)


def find_folder(path: Path, split: str, images: str, tasks: Sequence[str]) -> Path | None:
    """The split's folder with `annotations` and the folder `images`: `path`, or `VisDrone...-<task>-<split>` in it.

    A folder whose name has no split serves as any split.
    """
    if not path.is_dir():
        return None
    if _is_split(path, images):
        return path if split in _splits_named(path, tasks) or not _splits_named(path, tasks) else None
    found = [folder for pattern in _patterns(split, tasks) for folder in sorted(path.glob(pattern))]
    return next((folder for folder in found if _is_split(folder, images)), None)


def names_split(path: Path, images: str, tasks: Sequence[str]) -> bool:
    """Whether the folders of a data set are named for splits; arguments as for `find_folder`."""
    return not _is_split(path, images) or bool(_splits_named(path, tasks))


def _patterns(split: str, tasks: Sequence[str]) -> list[str]:
    ends = {"train": ("train",), "val": ("val",), "test": ("test-dev", "test*")}.get(split, ())
    return [f"*{task}-{end}" for end in ends for task in tasks]


def _splits_named(folder: Path, tasks: Sequence[str]) -> list[str]:
    splits = ("train", "val", "test")
    return [split for split in splits if any(folder.resolve().match(p) for p in _patterns(split, tasks))]


def _is_split(folder: Path, images: str) -> bool:
    return (folder / images).is_dir() and bool(files_in(folder / "annotations", ".txt"))


def read(folder: Path, split: str) -> Dataset:
    """Read a split's folder.

    Raises `InputError` for a line that is not eight numbers, an unknown category, or labels without an image.
    """
    counts: Counter[str] = Counter()
    images = images_by_stem(folder / "images")
    labels = {path.stem: path for path in files_in(folder / "annotations", ".txt")}
    missing = [f"{stem}.jpg" for stem in labels if stem not in images]
    if missing:
        raise missing_images(folder, missing, len(labels), [folder / "images"])
    records = []
    for number, stem in enumerate(sorted(images), start=1):
        rows = [row_of(line, labels[stem]) for line in read_lines(labels[stem])] if stem in labels else []
        records.append(record_of_rows(number, images[stem], rows, counts, sequence=stem.split("_")[0]))
    return Dataset(
        path=folder, format=NAME, images=tuple(records), class_names=CLASS_NAMES, notes=notes(folder, counts)
    )


def record_of_rows(
    number: int,
    image: Path,
    rows: Sequence[Sequence[float]],
    counts: Counter[str],
    *,
    sequence: str,
    track_ids: npt.NDArray[np.int64] | None = None,
) -> ImageRecord:
    """The record of an image from its rows of left, top, width, height, score and category; the rest as `record_of`."""
    width, height = image_size(image)
    table = np.array(rows, np.float64).reshape(-1, 6)
    boxes, category, counted = table[:, :4].copy(), table[:, 5].astype(np.int64), table[:, 4] != 0
    boxes[:, 2:] += boxes[:, :2]
    regions = boxes[category == IGNORED_REGION]
    is_object = (category != IGNORED_REGION) & (category != OTHERS)
    hidden = is_object & mostly_inside(boxes, regions, width=width, height=height)
    counts[LEFT_OUT] += int((category == OTHERS).sum())
    counts[HIDDEN] += int(hidden.sum())
    kept = is_object & ~hidden
    return record_of(
        number,
        image,
        size=(width, height),
        boxes_xyxy_px=boxes[kept],
        class_ids=category[kept] - 1,
        is_crowd=~counted[kept],
        counts=counts,
        ignored_xyxy_px=regions,
        sequence=sequence,
        track_ids=None if track_ids is None else track_ids[kept],
    )


def row_of(line: str, path: Path, first: str = "") -> list[float]:
    """The numbers of a line up to the category, which has two more; `first` names columns before those of an image.

    Raises:
        InputError: another number of columns, or an unknown category.
    """
    columns = f"{first}left,top,width,height,score,category,truncation,occlusion"
    row = numbers_in(line.strip().rstrip(",").split(","))
    if row is None or len(row) != columns.count(",") + 1:
        expected = f"expected {columns.count(',') + 1} numbers a line ({columns})"
        raise InputError(f"{printable(path)}: {expected}, got {shown(line)}")
    category = row[-3]
    if not 0 <= category <= OTHERS or category != int(category):
        raise InputError(f"{printable(path)}: category {category:g} is unknown, expected 0 to {OTHERS}")
    return row[:-2]

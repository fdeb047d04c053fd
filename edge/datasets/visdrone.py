"""VisDrone-DET as published: a text file for each image, with one object per line.

    left,top,width,height,score,category,truncation,occlusion

Category 0 marks a region without annotations, 11 is `others`; objects with score 0 do not count in the benchmark. As in
its toolkit (https://github.com/VisDrone/VisDrone2018-DET-toolkit), objects that lie by half or more in ignored regions
are left out, and `others` are no objects, so detecting one is a mistake.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.datasets.labels import files_in, image_files, missing_images, notes, numbers_in, record_of
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
SPLIT_FOLDERS = {"train": ("*DET-train",), "val": ("*DET-val",), "test": ("*DET-test-dev", "*DET-test*")}


def find(path: Path, split: str) -> Path | None:
    """The split's folder with `images` and `annotations`: `path`, or a folder in it."""
    if not path.is_dir():
        return None
    if _is_split(path):
        # A folder whose name has no split serves as any split.
        named = _splits_named(path)
        return path if not named or split in named else None
    for pattern in SPLIT_FOLDERS.get(split, ()):
        for folder in sorted(path.glob(pattern)):
            if _is_split(folder):
                return folder
    return None


def has_splits(path: Path) -> bool:
    """False for a folder of images and annotations whose name has no split."""
    return not _is_split(path) or bool(_splits_named(path))


def _splits_named(folder: Path) -> list[str]:
    return [name for name, patterns in SPLIT_FOLDERS.items() if any(folder.resolve().match(p) for p in patterns)]


def _is_split(folder: Path) -> bool:
    return (folder / "images").is_dir() and bool(files_in(folder / "annotations", ".txt"))


def read(folder: Path, split: str) -> Dataset:
    """Read a split's folder.

    Raises `InputError` for a line that is not eight numbers, an unknown category, or labels without an image.
    """
    counts: Counter[str] = Counter()
    images = {path.stem: path for path in image_files(folder / "images")}
    labels = {path.stem: path for path in files_in(folder / "annotations", ".txt")}
    missing = [f"{stem}.jpg" for stem in labels if stem not in images]
    if missing:
        raise missing_images(folder, missing, len(labels), [folder / "images"])
    records = [
        _record(number, images[stem], labels.get(stem), counts) for number, stem in enumerate(sorted(images), start=1)
    ]
    return Dataset(
        path=folder, format=NAME, images=tuple(records), class_names=CLASS_NAMES, notes=notes(folder, counts)
    )


def _record(number: int, image: Path, labels: Path | None, counts: Counter[str]) -> ImageRecord:
    width, height = image_size(image)
    rows = np.array([_row(line, labels) for line in read_lines(labels)] if labels else [], np.float64).reshape(-1, 6)
    boxes, category, counted = rows[:, :4].copy(), rows[:, 5].astype(np.int64), rows[:, 4] != 0
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
        sequence=image.stem.split("_")[0],
    )


def _row(line: str, path: Path | None) -> list[float]:
    """Left, top, width, height, score and category of a line."""
    row = numbers_in(line.strip().rstrip(",").split(","))
    if row is None or len(row) != 8:
        expected = "expected 8 numbers a line (left,top,width,height,score,category,...)"
        raise InputError(f"{printable(path)}: {expected}, got {shown(line)}")
    if not 0 <= row[5] <= OTHERS or row[5] != int(row[5]):
        raise InputError(f"{printable(path)}: category {row[5]:g} is unknown, expected 0 to {OTHERS}")
    return row[:6]

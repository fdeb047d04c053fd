"""YOLO folders: a YAML file with the class names and the places of the splits, and a label file for each image.

    class x_centre y_centre width height                  shares of the image's sides
    class x1 y1 x2 y2 x3 y3 ...                           a polygon, taken as the box around it
    class x_centre y_centre width height x1 y1 v1 ...     with keypoints, if the YAML file has `kpt_shape`

The labels of `images/val/a.jpg` are in `labels/val/a.txt`; an image without that file holds no object.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import (
    each_once,
    files_in,
    image_files,
    image_size,
    integer,
    missing_images,
    notes,
    order_corners,
    read_lines,
    record_of,
)
from tinydet.edge.errors import InputError

LAYOUT = "YOLO (a .yaml file with `names` and `{split}`)"
NAME = "YOLO"
SUFFIXES = (".yaml", ".yml")


def find(path: Path, split: str) -> Path | None:
    """The YAML file that names the split: `path`, or the only one in `path` that describes a data set."""
    if path.is_dir():
        described = [file for file in files_in(path, *SUFFIXES) if _describes(file)]
        if len(described) > 1:
            raise InputError(f"{path} holds several YOLO data sets: name one of {', '.join(f.name for f in described)}")
        path = described[0] if described else path
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return None
    return path if _content(path).get(split) else None


def has_splits(path: Path) -> bool:
    """True: a YAML file names its splits."""
    return True


def _describes(path: Path) -> bool:
    """Whether a YAML file has class names; other files of the folder may not even be valid YAML (templates)."""
    try:
        return "names" in _content(path)
    except InputError:
        return False


def read(path: Path, split: str) -> Dataset:
    """Raises `InputError` for a line of labels of another layout, an unknown class, missing images."""
    content = _content(path)
    class_names = _class_names(content.get("names"), path)
    keypoints = _keypoint_columns(content.get("kpt_shape"), path)
    counts: Counter[str] = Counter()
    images = [Path(name) for name in each_once(list(map(os.path.normpath, _images(path, content, split))), counts)]
    records = [_record(number, image, len(class_names), keypoints, counts) for number, image in enumerate(images, 1)]
    remarks = notes(path, counts)
    if not any(labels_of(image).is_file() for image in images):
        remarks += (f"{path}: no image of {split} has a label file (looked for {labels_of(images[0])})",)
    return Dataset(path=path, format=NAME, images=tuple(records), class_names=class_names, notes=remarks)


def _class_names(names: object, path: Path) -> tuple[str, ...]:
    """From a list, or a table by class number."""
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InputError(f"{path}: expected `names`, a list of class names or a table from 0 on, got {names!r}")
    class_names = tuple(str(name) for name in names)
    if len(set(class_names)) < len(class_names):
        raise InputError(f"{path}: two classes have the same name")
    return class_names


def _keypoint_columns(shape: object, path: Path) -> int:
    """The numbers that follow a box: `kpt_shape` is [keypoints, 2 or 3]."""
    if shape is None:
        return 0
    sides = [integer(side) for side in shape] if isinstance(shape, list) else []
    match sides:
        case [int(points), (2 | 3) as numbers] if points > 0:
            return points * numbers
    raise InputError(f"{path}: expected `kpt_shape`, the number of keypoints and 2 or 3, got {shape!r}")


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    return content if isinstance(content, dict) else {}


def _images(path: Path, content: dict[str, Any], split: str) -> list[Path]:
    """A split is a folder, a text file that lists images, or a list of these."""
    root = path.parent / str(content.get("path") or ".")
    if not root.is_dir():  # many files carry the path of the machine they were written on
        root = path.parent
    entries = content[split] if isinstance(content[split], list) else [content[split]]
    found: list[Path] = []
    missing: list[Path] = []
    looked_in = []
    for entry in entries:
        # Some exporters write ../train/images and mean train/images.
        candidates = [
            base / name for name in (str(entry), str(entry).removeprefix("../")) for base in (root, path.parent)
        ]
        place = next((candidate for candidate in candidates if candidate.exists()), None)
        if place is None:
            raise InputError(f"{path}: {split} is {entry}, which does not exist in {root}")
        looked_in.append(place)
        if place.is_dir():
            found += image_files(place)
        else:
            listed = [place.parent / line.strip() for line in read_lines(place)]
            found += listed
            missing += [image for image in listed if not image.is_file()]
    if missing:
        raise missing_images(path, missing, len(found), looked_in)
    if not found:
        raise InputError(f"{path}: the split {split} is empty (no image in {', '.join(map(str, looked_in))})")
    return found


def labels_of(image: Path) -> Path:
    """Where the labels of an image are: the last folder named `images` becomes `labels`, the suffix `.txt`."""
    parts = list(image.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _record(number: int, image: Path, classes: int, keypoints: int, counts: Counter[str]) -> ImageRecord:
    labels = labels_of(image)
    rows = [_row(line, labels, classes, keypoints) for line in read_lines(labels)] if labels.is_file() else []
    table = np.array(rows, np.float64).reshape(-1, 5)
    centres, halves = table[:, 1:3], table[:, 3:5] / 2
    width, height = image_size(image)
    boxes = np.concatenate([centres - halves, centres + halves], axis=1) * np.array([width, height] * 2)
    return record_of(
        number,
        image,
        size=(width, height),
        boxes_xyxy_px=order_corners(boxes, counts),
        class_ids=table[:, 0].astype(np.int64),
        is_crowd=np.zeros(len(table), bool),
        counts=counts,
    )


def _row(line: str, path: Path, classes: int, keypoints: int) -> list[float]:
    """Class, x_centre, y_centre, width, height."""
    columns = line.split()
    try:
        row = [float(value) for value in columns]
    except ValueError:
        row = []
    if keypoints and len(row) == 5 + keypoints:
        row = row[:5]
    elif keypoints and len(row) != 5:
        raise InputError(f"{path}: expected 5 columns, or {5 + keypoints} by `kpt_shape`, got {len(columns)}: {line!r}")
    elif len(row) == 7 and columns[6].isdigit():
        raise InputError(f"{path}: {line!r} looks like a tracker's result (box, score, id): expected boxes or polygons")
    elif len(row) > 5 and len(row) % 2 == 1:  # class and at least three corners
        x, y = np.array(row[1::2]), np.array(row[2::2])
        row = [row[0], (x.min() + x.max()) / 2, (y.min() + y.max()) / 2, x.max() - x.min(), y.max() - y.min()]
    if len(row) != 5 or not np.isfinite(row).all():
        raise InputError(f"{path}: expected `class x_centre y_centre width height` a line, got {line!r}")
    if not 0 <= row[0] < classes or row[0] != int(row[0]):
        raise InputError(f"{path}: class {row[0]:g} is unknown, the names are numbered 0 to {classes - 1}")
    if max(row[1:]) > 1.5:
        raise InputError(f"{path}: coordinates are shares of the image between 0 and 1, got {line!r} (pixels?)")
    return row

"""YOLO folders: a YAML file with the class names and the places of the splits, and a label file for each image.

    class x_centre y_centre width height                  shares of the image's sides
    class x1 y1 x2 y2 x3 y3 ...                           a polygon, taken as the box around it
    class x_centre y_centre width height x1 y1 v1 ...     with keypoints, if the YAML file has `kpt_shape`

The labels of `images/val/a.jpg` are in `labels/val/a.txt`; an image without that file holds no object. Label Studio and
LabelImg write `classes.txt`, a class name a line, in place of the YAML file, and no splits.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import (
    WITHOUT_IMAGE,
    class_name,
    each_once,
    files_in,
    image_files,
    lexical,
    missing_images,
    name_inside,
    notes,
    numbers_in,
    order_corners,
    record_of,
)
from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import image_size
from tinydet.edge.files.images import IMAGE_SUFFIXES
from tinydet.edge.files.numbers import whole
from tinydet.edge.files.printable import is_printable, printable, shown
from tinydet.edge.files.regular_file import kind_of
from tinydet.edge.files.text_file import read_lines
from tinydet.edge.files.yaml_file import read_yaml

LAYOUT = "YOLO (a .yaml file with `names` and `{split}`, or classes.txt)"
NAME = "YOLO"
SUFFIXES = (".yaml", ".yml")
CLASSES = "classes.txt"
LARGEST_SHARE = 1.5
"""Of the image's sides: boxes may reach outside a little."""
KEYPOINT_SLACK = 0.01
"""Shares of the image by which keypoints may lie outside their box."""


def find(path: Path, split: str) -> Path | None:
    """The YAML file that names the split, or `classes.txt`: `path`, or the only one in `path` with a data set."""
    if path.is_dir():
        files = files_in(path, *SUFFIXES)
        described = [file for file in files if _describes(file)]
        if len(files) == 1 and not described and (path / "labels").is_dir():
            _content(files[0])  # if it is broken, the error says how
        if len(described) > 1:
            names = ", ".join(printable(file.name) for file in described)
            raise InputError(f"{printable(path)} holds several YOLO data sets: name one of {names}")
        if not files and (path / CLASSES).is_file() and _has_labels(path):
            return path / CLASSES
        path = described[0] if described else path
    if path.name == CLASSES:
        return path
    if path.suffix.lower() not in SUFFIXES or kind_of(path) in (None, "folder"):
        return None
    return path if _content(path).get(split) else None


def has_splits(path: Path) -> bool:
    """Whether a YAML file names its splits; with `classes.txt` there are none."""
    return path.name != CLASSES and not (path.is_dir() and not files_in(path, *SUFFIXES))


def _has_labels(folder: Path) -> bool:
    """Whether a folder has labels in `labels`, or beside its images."""
    images = files_in(folder, *IMAGE_SUFFIXES)
    return (folder / "labels").is_dir() or any(image.with_suffix(".txt").is_file() for image in images)


def _describes(path: Path) -> bool:
    """Whether a YAML file has class names; other files of the folder may not even be valid YAML (templates)."""
    try:
        return "names" in _content(path)
    except InputError:
        return False


def read(path: Path, split: str) -> Dataset:
    """Read a split. Raises `InputError` for label lines of another layout, an unknown class, and missing images."""
    source = printable(path)
    if path.name == CLASSES:
        folder = "images" if (path.parent / "images").is_dir() else "."
        content: dict[str, Any] = {"names": read_lines(path, what="data set"), split: folder}
    else:
        content = _content(path)
    class_names = _class_names(content.get("names"), source)
    keypoints = _keypoint_columns(content.get("kpt_shape"), source)
    counts: Counter[str] = Counter()
    images = [Path(name) for name in each_once(_images(path, content, split, counts), counts)]
    records = [_record(number, image, len(class_names), keypoints, counts) for number, image in enumerate(images, 1)]
    remarks = notes(path, counts)
    if not any(labels_of(image).is_file() for image in images):
        remarks += (f"{source}: no image of {split} has a label file (looked for {labels_of(images[0])})",)
    return Dataset(path=path, format=NAME, images=tuple(records), class_names=class_names, notes=remarks)


def _class_names(names: object, source: str) -> tuple[str, ...]:
    """The class names from a list, or from a table by class number."""
    if isinstance(names, dict):
        by_number = {whole(key, f"{source}: names: a class number", 0, len(names) - 1): names[key] for key in names}
        names = [by_number[number] for number in sorted(by_number)]
    if not isinstance(names, list) or not names:
        raise InputError(f"{source}: expected `names`, a list of class names or a table from 0 on, got {shown(names)}")
    class_names = tuple(class_name(name, f"{source}: names") for name in names)
    if len(set(class_names)) < len(class_names):
        raise InputError(f"{source}: two classes have the same name")
    return class_names


def _keypoint_columns(shape: object, source: str) -> int:
    """Number of columns that follow a box, from `kpt_shape`: [keypoints, 2 or 3]."""
    if shape is None:
        return 0
    if not isinstance(shape, list) or len(shape) != 2:
        raise InputError(f"{source}: expected `kpt_shape`, the number of keypoints and 2 or 3, got {shown(shape)}")
    return whole(shape[0], f"{source}: kpt_shape: keypoints", 1, 1000) * whole(
        shape[1], f"{source}: kpt_shape: numbers of a keypoint", 2, 3
    )


def _content(path: Path) -> dict[str, Any]:
    content = read_yaml(path, what="data set")
    return content if isinstance(content, dict) else {}


def _images(path: Path, content: dict[str, Any], split: str, counts: Counter[str]) -> list[str]:
    """The images of a split, which is a folder, a text file that lists images, or a list of these.

    `path` and the split may lead anywhere, as everybody's YAML files do; the lines of a text file only into these
    folders.
    """
    source = printable(path)
    entries = content[split] if isinstance(content[split], list) else [content[split]]
    for key, value in [("path", content.get("path") or "."), *((split, entry) for entry in entries)]:
        if not isinstance(value, str) or not value or not is_printable(value):
            raise InputError(f"{source}: expected a folder or file in `{key}`, got {shown(value)}")
    root = path.parent / (content.get("path") or ".")
    if kind_of(root) != "folder":  # many files have the path of the machine that wrote them
        root = path.parent
    found: list[str] = []
    missing: list[str] = []
    looked_in = []
    for entry in entries:
        # Some exporters write ../train/images for train/images.
        candidates = [base / name for name in (entry, entry.removeprefix("../")) for base in (root, path.parent)]
        place = next((candidate for candidate in candidates if kind_of(candidate)), None)
        if place is None:
            raise InputError(f"{source}: {split} is {shown(entry)}, which does not exist in {printable(root)}")
        looked_in.append(place)
        if kind_of(place) == "folder":
            images = image_files(place)
            found += map(str, images)
            counts[WITHOUT_IMAGE] += _labels_without_image(images)
        else:
            listed = _listed(place, [place.parent, root, path.parent])
            found += listed
            missing += [image for image in listed if kind_of(image) != "file"]
    if missing:
        raise missing_images(path, missing, len(found), looked_in)
    if not found:
        raise InputError(
            f"{source}: the split {split} is empty (no image in {printable(', '.join(map(str, looked_in)))})"
        )
    return found


def _listed(listing: Path, roots: Sequence[Path]) -> list[str]:
    """The images that a text file lists, which lie below one of the folders `roots`."""
    images = []
    for line in map(str.strip, read_lines(listing, what="data set")):
        place = lexical(listing.parent / line)
        root = next((root for root in roots if place.is_relative_to(lexical(root))), listing.parent)
        inner = name_inside(line, folder=listing.parent, root=root, source=printable(listing))
        images.append(os.path.normpath((listing.parent if inner == line else root) / inner))
    return images


def labels_of(image: Path) -> Path:
    """The label file of an image: the last folder `images` of its path becomes `labels`, its suffix `.txt`."""
    parts = list(image.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _labels_without_image(images: Sequence[Path]) -> int:
    """Number of files in these images' folders of labels that belong to no image."""
    labels = set(map(labels_of, images))
    folders = {file.parent for file in labels} - {image.parent for image in images}
    return sum(file not in labels and file.name != CLASSES for folder in folders for file in files_in(folder, ".txt"))


def _record(number: int, image: Path, classes: int, keypoints: int, counts: Counter[str]) -> ImageRecord:
    labels = labels_of(image)
    rows = [_row(line, labels, classes, keypoints) for line in read_lines(labels)] if os.path.lexists(labels) else []
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
    """Class, x_centre, y_centre, width and height of a line."""
    columns = line.split()
    source, row = printable(path), numbers_in(columns) or []
    if keypoints and len(row) == 5 + keypoints:
        row = row[:5]
    elif keypoints and row and len(row) != 5:
        expected = f"expected 5 columns, or {5 + keypoints} by `kpt_shape`"
        raise InputError(f"{source}: {expected}, got {len(columns)}: {shown(line)}")
    elif len(row) == 7 and columns[6].isdigit():
        raise InputError(
            f"{source}: {shown(line)} looks like a tracker's result (box, score, id): expected boxes or polygons"
        )
    elif len(row) > 5 and _has_keypoints(row):
        raise InputError(
            f"{source}: {shown(line)} looks like a box with keypoints: give their number and 2 or 3 as `kpt_shape`"
        )
    elif len(row) > 5 and len(row) % 2 == 1:  # class and at least three corners
        x, y = np.array(row[1::2]), np.array(row[2::2])
        row = [row[0], (x.min() + x.max()) / 2, (y.min() + y.max()) / 2, x.max() - x.min(), y.max() - y.min()]
    if len(row) != 5:
        raise InputError(f"{source}: expected `class x_centre y_centre width height` a line, got {shown(line)}")
    if not 0 <= row[0] < classes or row[0] != int(row[0]):
        raise InputError(f"{source}: class {row[0]:g} is unknown, the names are numbered 0 to {classes - 1}")
    if max(map(abs, row[1:])) > LARGEST_SHARE:
        raise InputError(f"{source}: coordinates are shares of the image between 0 and 1, got {shown(line)} (pixels?)")
    return row


def _has_keypoints(row: Sequence[float]) -> bool:
    """Whether more than five columns are a box and its keypoints, not a polygon.

    Keypoints lie in their box or are 0, and in columns of three the last is 0, 1 or 2. A polygon whose corners lie in
    the box that its first two would be as centre and size is smaller than that box.
    """
    centre, side = np.array(row[1:3]), np.array(row[3:5])
    for numbers in (2, 3):
        if (len(row) - 5) % numbers:
            continue
        points = np.array(row[5:]).reshape(-1, numbers)
        if numbers == 3 and not np.isin(points[:, 2], (0, 1, 2)).all():
            continue
        points = points[(points[:, :2] != 0).any(axis=1), :2]
        if len(points) and (np.abs(points - centre) <= side / 2 + KEYPOINT_SLACK).all():
            corners = np.vstack([centre, side, points])
            if numbers == 3 or side.prod() < np.ptp(corners, axis=0).prod():
                return True
    return False

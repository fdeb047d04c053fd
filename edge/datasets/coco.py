"""COCO JSON, the format that data sets are converted to; `coco_layout` finds the file and its images.

Beside COCO's own fields an image may have `sequence`, the clip or flight it belongs to, `time_s`, seconds since the
start of that, and `ignored_regions`, boxes [left, top, width, height] in which nothing was annotated. An annotation may
have `track_id`, an integer from 0 on, the same for one object throughout a sequence; one with `ignore` or `uncertain`
(TinyPerson) counts as a crowd; one without `bbox` gets the box around its polygons (`segmentation`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydet.edge.datasets.coco_layout import COCO_BYTES, find, has_splits, locate
from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import LISTED_TWICE, class_name, missing_images, notes, pixel_size, record_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import LARGEST_PIXELS
from tinydet.edge.files.json_file import read_json
from tinydet.edge.files.numbers import finite, flag, whole
from tinydet.edge.files.printable import is_printable, printable, shown
from tinydet.edge.files.schema import LONGEST_NAME

__all__ = ["LAYOUT", "find", "has_splits", "read"]

LAYOUT = "COCO JSON (annotations/{split}.json)"
NAME = "COCO JSON"
CROWD_KEYS = ("iscrowd", "ignore", "uncertain")
NUMBERS = frozenset({int, float})

Entry = dict[str, Any]


def read(path: Path, split: str) -> Dataset:
    """Read a JSON file and find its images. An image file that is listed under several ids becomes one image.

    Raises:
        InputError: the file is no JSON or no COCO; it holds no image; an annotation names an unknown category or image
            or has neither a box of four finite numbers nor polygons; ids or class names repeat; images are missing.
    """
    source = printable(path)
    content = read_json(path, what="data set", limit_bytes=COCO_BYTES)
    if not isinstance(content, dict) or "images" not in content:
        raise InputError(f"{source}: not a COCO data set: expected an object with images, annotations and categories")
    class_names, class_ids = _read_categories(content, source)
    images = _read_images(content, source)
    annotations: dict[int, list[Entry]] = {image_id: [] for image_id in images}
    for annotation in _list_of(content, "annotations", source):
        image_id, category_id = _id(annotation, "image_id", source), _id(annotation, "category_id", source)
        if image_id not in annotations:
            raise InputError(f"{_named(annotation, source)} is on image id {image_id}, which is not listed")
        if category_id not in class_ids:
            known = _listed(class_ids)
            raise InputError(
                f"{_named(annotation, source)} has category id {category_id}, but the categories are {known}"
            )
        annotation["category_id"] = category_id
        annotations[image_id].append(annotation)

    files, folders = locate(path, [image["file_name"] for image in images.values()])
    missing = [image["file_name"] for image, file in zip(images.values(), files, strict=True) if file is None]
    if missing:
        raise missing_images(path, missing, len(images), folders)
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    for image_id, file in zip(images, files, strict=True):
        same = first.setdefault(os.path.normpath(file or ""), image_id)
        if same != image_id:
            counts[LISTED_TWICE] += 1
            annotations[same] += annotations[image_id]
    records = tuple(
        _record(images[image_id], Path(file), annotations[image_id], class_ids, source, counts)
        for file, image_id in first.items()
    )
    return Dataset(path=path, format=NAME, images=records, class_names=class_names, notes=notes(path, counts))


def _list_of(content: Entry, key: str, source: str) -> list[Entry]:
    entries = content.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{source}: {key} should be a list of objects")
    return entries


def _read_categories(content: Entry, source: str) -> tuple[tuple[str, ...], dict[int, int]]:
    """The class names in the order of the category ids, and the position of each id."""
    names: list[tuple[int, str]] = []
    for category in _list_of(content, "categories", source):
        category_id = whole(category.get("id"), f"{source}: category {shown(category.get('name'))}: id")
        names.append((category_id, class_name(category.get("name"), f"{source}: category {category_id}")))
    for column, values in (("id", [category_id for category_id, _ in names]), ("name", [name for _, name in names])):
        repeated = _first_repeated(values)
        if repeated is not None:
            raise InputError(f"{source}: two categories have the {column} {shown(repeated)}")
    names.sort()
    return tuple(name for _, name in names), {category_id: index for index, (category_id, _) in enumerate(names)}


def _read_images(content: Entry, source: str) -> dict[int, Entry]:
    """By id; id, width and height are integers."""
    images = _list_of(content, "images", source)
    if not images:
        raise InputError(f"{source}: the data set is empty (it lists no image)")
    for image in images:
        name = image.get("file_name")
        if not isinstance(name, str):
            raise InputError(f"{source}: an image needs a file_name, got {shown(image)}")
        named = f"{source}: image {printable(name)}"
        image["id"] = whole(image.get("id"), f"{named}: id")
        image["width"], image["height"] = pixel_size(image.get("width"), image.get("height"), named)
    repeated = _first_repeated([image["id"] for image in images])
    if repeated is not None:
        raise InputError(f"{source}: two images have the id {repeated}")
    return {image["id"]: image for image in images}


def _record(
    image: Entry, file: Path, annotations: list[Entry], class_ids: dict[int, int], source: str, counts: Counter[str]
) -> ImageRecord:
    named = f"{source}: image {printable(image['file_name'])}"
    regions = image.get("ignored_regions")
    regions = [] if regions is None else regions
    if not isinstance(regions, list):
        raise InputError(f"{named}: ignored_regions should be a list of boxes, got {shown(regions)}")
    sequence, time_s = image.get("sequence"), image.get("time_s")
    if type(sequence) not in (str, int, type(None)) or not _is_name(str(sequence)):
        raise InputError(f"{named}: sequence should be a name, got {shown(sequence)}")
    record = record_of(
        image["id"],
        file,
        size=(image["width"], image["height"]),
        boxes_xyxy_px=_corners(
            [
                _around(entry.get("segmentation")) if entry.get("bbox") in (None, []) else entry["bbox"]
                for entry in annotations
            ],
            lambda index: f"{_named(annotations[index], source)} has the box",
        ),
        class_ids=np.array([class_ids[a["category_id"]] for a in annotations], np.int64),
        is_crowd=np.array([_is_crowd(a, source) for a in annotations], bool),
        counts=counts,
        ignored_xyxy_px=_corners(regions, lambda index: f"{named}: ignored_regions has the box"),
        sequence=None if sequence is None else str(sequence),
        time_s=None if time_s is None else finite(time_s, f"{named}: time_s"),
        track_ids=_track_ids(annotations, named),
    )
    marked = [] if record.track_ids is None else record.track_ids[record.track_ids >= 0].tolist()
    repeated = _first_repeated(marked)
    if repeated is not None:
        raise InputError(f"{named}: two objects have the track_id {repeated}")
    return record


def _named(annotation: Entry, source: str) -> str:
    """Begins error messages; made where there is one, because a data set has a million annotations."""
    return f"{source}: annotation {shown(annotation.get('id'))}"


def _id(annotation: Entry, key: str, source: str) -> int:
    value = annotation.get(key)
    return value if type(value) is int else whole(value, f"{_named(annotation, source)}: {key}")


def _is_crowd(annotation: Entry, source: str) -> bool:
    is_crowd = False
    for key in CROWD_KEYS:
        value = annotation.get(key)
        if value not in (None, "", 0):
            is_crowd |= flag(value, f"{_named(annotation, source)}: {key}")
    return is_crowd


def _track_ids(annotations: list[Entry], named: str) -> NDArray[np.int64] | None:
    """(M,), -1 where an annotation has no `track_id`; None where none has."""
    given = [annotation.get("track_id") for annotation in annotations]
    if all(value is None for value in given):
        return None
    return np.array([-1 if value is None else whole(value, f"{named}: track_id", 0) for value in given], np.int64)


def _corners(boxes: Sequence[Any], named: Callable[[int], str]) -> NDArray[np.float64]:
    """Boxes [left, top, width, height] as (M, 4) left, top, right, bottom; `named(i)` begins the error of box i."""
    for index, box in enumerate(boxes):
        if (
            not isinstance(box, list)
            or len(box) != 4
            or not NUMBERS.issuperset(map(type, box))
            or max(box) > LARGEST_PIXELS
            or min(box) < -LARGEST_PIXELS
        ):
            raise InputError(f"{named(index)} {shown(box)}, expected [left, top, width, height] in pixels")
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and is_printable(text)


def _around(polygons: Any) -> list[float] | None:
    """The box [left, top, width, height] around polygons [x1, y1, x2, y2, x3, y3, ...]; None if they are none."""
    if not isinstance(polygons, list) or not polygons:
        return None
    for corners in polygons:
        is_polygon = isinstance(corners, list) and len(corners) >= 6 and len(corners) % 2 == 0
        if not is_polygon or not NUMBERS.issuperset(map(type, corners)):
            return None
    x, y = ([number for corners in polygons for number in corners[first::2]] for first in (0, 1))
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def _first_repeated(values: Sequence[Any]) -> Any | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


def _listed(ids: dict[int, int], limit: int = 10) -> str:
    text = ", ".join(str(category_id) for category_id in list(ids)[:limit])
    return (text or "none at all") + (", ..." if len(ids) > limit else "")

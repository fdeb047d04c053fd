"""COCO JSON, the format that data sets are converted to; `coco_layout` finds the file and its images.

Beside COCO's own fields an image may have `sequence`, the clip or flight it belongs to, `time_s`, seconds since the
start of that, and `ignored_regions`, boxes [left, top, width, height] in which nothing was annotated. An annotation may
have `track_id`, an integer from 0 on, the same for one object throughout a sequence; one with `ignore` or `uncertain`
(TinyPerson) counts as a crowd.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydet.edge.datasets.coco_layout import find, has_splits, locate
from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import LISTED_TWICE, flag, integer, missing_images, notes, record_of
from tinydet.edge.errors import InputError

__all__ = ["LAYOUT", "find", "has_splits", "read"]

LAYOUT = "COCO JSON (annotations/{split}.json)"
NAME = "COCO JSON"
CROWD_KEYS = ("iscrowd", "ignore", "uncertain")

Entry = dict[str, Any]


def read(path: Path, split: str) -> Dataset:
    """Read a JSON file and find its images. An image file that is listed under several ids becomes one image.

    Raises:
        InputError: the file is no JSON or no COCO; it holds no image; an annotation names an unknown category or image
            or has no box of four finite numbers; ids or class names repeat; image files are missing.
    """
    content = _read_json(path)
    class_names, class_ids = _read_categories(content, path)
    images = _read_images(content, path)
    annotations: dict[int, list[Entry]] = {image_id: [] for image_id in images}
    for annotation in _list_of(content, "annotations", path):
        image_id, category_id = (integer(annotation.get(key)) for key in ("image_id", "category_id"))
        named = f"{path}: annotation {annotation.get('id')}"
        if image_id not in annotations:
            raise InputError(f"{named} is on image id {annotation.get('image_id')!r}, which is not listed")
        if category_id not in class_ids:
            given, known = annotation.get("category_id"), _shown(class_ids)
            raise InputError(f"{named} has category id {given!r}, but the categories are {known}")
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
        _record(images[image_id], Path(file), annotations[image_id], class_ids, path, counts)
        for file, image_id in first.items()
    )
    return Dataset(path=path, format=NAME, images=records, class_names=class_names, notes=notes(path, counts))


def _read_json(path: Path) -> Entry:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read data set {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: broken JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a JSON text file (byte {error.start} is not UTF-8)") from error
    if not isinstance(content, dict) or "images" not in content:
        raise InputError(f"{path}: not a COCO data set: expected an object with images, annotations and categories")
    return content


def _list_of(content: Entry, key: str, path: Path) -> list[Entry]:
    entries = content.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: {key} should be a list of objects")
    return entries


def _read_categories(content: Entry, path: Path) -> tuple[tuple[str, ...], dict[int, int]]:
    """The class names in the order of the category ids, and the position of each id."""
    names: list[tuple[int, str]] = []
    for category in _list_of(content, "categories", path):
        category_id, name = integer(category.get("id")), category.get("name")
        if category_id is None or not isinstance(name, str):
            raise InputError(f"{path}: a category needs an integer id and a name, got {category}")
        names.append((category_id, name))
    for column, values in (("id", [category_id for category_id, _ in names]), ("name", [name for _, name in names])):
        repeated = _first_repeated(values)
        if repeated is not None:
            raise InputError(f"{path}: two categories have the {column} {repeated!r}")
    names.sort()
    return tuple(name for _, name in names), {category_id: index for index, (category_id, _) in enumerate(names)}


def _read_images(content: Entry, path: Path) -> dict[int, Entry]:
    """By id; id, width and height are integers."""
    images = _list_of(content, "images", path)
    if not images:
        raise InputError(f"{path}: the data set is empty (it lists no image)")
    for image in images:
        image["id"], name = integer(image.get("id")), image.get("file_name")
        if image["id"] is None or not isinstance(name, str):
            raise InputError(f"{path}: an image needs an integer id and a file_name, got {image}")
        for side in ("width", "height"):
            pixels = integer(image.get(side))
            if pixels is None or pixels < 1:
                raise InputError(f"{path}: image {name} has {side} {image.get(side)!r}, expected pixels")
            image[side] = pixels
    repeated = _first_repeated([image["id"] for image in images])
    if repeated is not None:
        raise InputError(f"{path}: two images have the id {repeated}")
    return {image["id"]: image for image in images}


def _record(
    image: Entry, file: Path, annotations: list[Entry], class_ids: dict[int, int], path: Path, counts: Counter[str]
) -> ImageRecord:
    name = image["file_name"]
    regions = image.get("ignored_regions") or []
    if not isinstance(regions, list):
        raise InputError(f"{path}: ignored_regions of {name} should be a list of boxes, got {regions!r}")
    time_s = image.get("time_s")
    if time_s is not None and not _is_number(time_s):
        raise InputError(f"{path}: image {name} has time_s {time_s!r}, expected seconds")
    record = record_of(
        image["id"],
        file,
        size=(image["width"], image["height"]),
        boxes_xyxy_px=_corners([(f"annotation {a.get('id')} has bbox", a.get("bbox")) for a in annotations], path),
        class_ids=np.array([class_ids[a["category_id"]] for a in annotations], np.int64),
        is_crowd=np.array([_is_crowd(a, path) for a in annotations], bool),
        counts=counts,
        ignored_xyxy_px=_corners([(f"image {name} ignores", box) for box in regions], path),
        sequence=None if image.get("sequence") is None else str(image["sequence"]),
        time_s=None if time_s is None else float(time_s),
        track_ids=_track_ids(annotations, name, path),
    )
    marked = [] if record.track_ids is None else record.track_ids[record.track_ids >= 0].tolist()
    repeated = _first_repeated(marked)
    if repeated is not None:
        raise InputError(f"{path}: two objects in {name} have the track_id {repeated}")
    return record


def _is_crowd(annotation: Entry, path: Path) -> bool:
    is_crowd = False
    for key in CROWD_KEYS:
        value = flag(annotation.get(key))
        if value is None:
            raise InputError(
                f"{path}: annotation {annotation.get('id')} has {key} {annotation[key]!r}, expected 0 or 1"
            )
        is_crowd = is_crowd or value
    return is_crowd


def _track_ids(annotations: list[Entry], name: str, path: Path) -> NDArray[np.int64] | None:
    """(M,), -1 where an annotation has no `track_id`; None where none has."""
    if all(annotation.get("track_id") is None for annotation in annotations):
        return None
    ids = []
    for annotation in annotations:
        given = annotation.get("track_id")
        track_id = -1 if given is None else integer(given)
        if track_id is None or (given is not None and track_id < 0):
            raise InputError(f"{path}: track_id {given!r} in {name}, expected an integer from 0 on")
        ids.append(track_id)
    return np.array(ids, np.int64)


def _corners(boxes: list[tuple[str, Any]], path: Path) -> NDArray[np.float64]:
    """Boxes [left, top, width, height], each with words that lead up to it, as (M, 4) left, top, right, bottom."""
    for words, box in boxes:
        if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
            raise InputError(f"{path}: {words} {box!r}, expected [left, top, width, height] in pixels")
    corners = np.array([box for _, box in boxes], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _first_repeated(values: Sequence[Any]) -> Any | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


def _shown(ids: dict[int, int], limit: int = 10) -> str:
    shown = ", ".join(str(category_id) for category_id in list(ids)[:limit])
    return (shown or "none at all") + (", ..." if len(ids) > limit else "")

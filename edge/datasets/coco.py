"""COCO JSON, the one format inside: `annotations/<split>.json` and a folder of images.

Beside COCO's own fields an image may have `sequence`, the clip or flight it belongs to, `time_s`, seconds since that
began, and `ignored_regions`, boxes [left, top, width, height] in which nothing was annotated. An annotation may have
`track_id`, an integer from 0 on, the same for one object throughout a sequence; one with a true `ignore` or `uncertain`
(TinyPerson) counts as a crowd.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import clip_boxes, missing_images, notes
from tinydet.edge.errors import InputError

LAYOUT = "COCO JSON (annotations/{split}.json)"
NAME = "COCO JSON"
CROWD_KEYS = ("iscrowd", "ignore", "uncertain")
SPLIT_WORDS = {"train": ("train", "training"), "val": ("val", "validation"), "test": ("test",)}


def find(path: Path, split: str) -> Path | None:
    """The JSON file: `path` itself, or the one in `path`/annotations whose name has the split in it."""
    if path.is_file():
        return path if path.suffix == ".json" else None
    folder = path / "annotations"
    exact = folder / f"{split}.json"
    if exact.is_file():
        return exact
    files = [file for file in sorted(folder.glob("*.json")) if split in _splits_named(file)]
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise InputError(f"{folder} holds several files for the split {split}: name one of {names}")
    return files[0] if files else None


def has_splits(path: Path) -> bool:
    """A folder has, a file is one."""
    return path.is_dir()


def _splits_named(path: Path) -> list[str]:
    """`aitod_validation_v1` -> val, `instances_train2017` -> train; `trainval` is neither."""
    words = [re.sub(r"\d+$", "", word) for word in re.split(r"[^a-z0-9]+", path.stem.lower())]
    return [split for split, names in SPLIT_WORDS.items() if any(word in names for word in words)]


def read(path: Path, split: str) -> Dataset:
    """Images are looked for where data sets keep them: `_image_folders`.

    Raises:
        InputError: the file is no JSON or no COCO; it holds no image; an annotation names an unknown category or image
            or has no box of four finite numbers; ids or class names repeat; image files are missing.
    """
    content = _read_json(path)
    class_names, class_id_of_category = _read_categories(content, path)
    raw_images = _read_images(content, path)
    annotations: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in raw_images}
    for annotation in _list_of(content, "annotations", path):
        image_id, category_id = annotation.get("image_id"), annotation.get("category_id")
        if not _is_integer(image_id) or image_id not in annotations:
            raise InputError(
                f"{path}: annotation {annotation.get('id')} is on image id {image_id!r}, which is not listed"
            )
        if not _is_integer(category_id) or category_id not in class_id_of_category:
            raise InputError(
                f"{path}: annotation {annotation.get('id')} has category id {category_id!r}, "
                f"but the categories are {_shown(class_id_of_category)}"
            )
        annotations[image_id].append(annotation)

    paths = _find_images(raw_images, path)
    counts: Counter[str] = Counter()
    images = tuple(
        _record(raw, paths[image_id], annotations[image_id], class_id_of_category, path, counts)
        for image_id, raw in raw_images.items()
    )
    return Dataset(path=path, format=NAME, images=images, class_names=class_names, notes=notes(path, counts))


def _read_json(path: Path) -> dict[str, Any]:
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


def _list_of(content: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    entries = content.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: {key} should be a list of objects")
    return entries


def _read_categories(content: dict[str, Any], path: Path) -> tuple[tuple[str, ...], dict[int, int]]:
    categories = _list_of(content, "categories", path)
    for category in categories:
        if not _is_integer(category.get("id")) or not isinstance(category.get("name"), str):
            raise InputError(f"{path}: a category needs an integer id and a name, got {category}")
    categories = sorted(categories, key=lambda category: int(category["id"]))
    names, ids = tuple(category["name"] for category in categories), [category["id"] for category in categories]
    for what, values in (("name", names), ("id", ids)):
        repeated = _first_repeated(values)
        if repeated is not None:
            raise InputError(f"{path}: two categories have the {what} {repeated!r}")
    return names, {category_id: index for index, category_id in enumerate(ids)}


def _read_images(content: dict[str, Any], path: Path) -> dict[int, dict[str, Any]]:
    images = _list_of(content, "images", path)
    if not images:
        raise InputError(f"{path}: the data set is empty (it lists no image)")
    for image in images:
        if not _is_integer(image.get("id")) or not isinstance(image.get("file_name"), str):
            raise InputError(f"{path}: an image needs an integer id and a file_name, got {image}")
        for side in ("width", "height"):
            if not _is_integer(image.get(side)) or image[side] < 1:
                raise InputError(f"{path}: image {image['file_name']} has {side} {image.get(side)!r}, expected pixels")
    repeated = _first_repeated([image["id"] for image in images])
    if repeated is not None:
        raise InputError(f"{path}: two images have the id {repeated}")
    return {image["id"]: image for image in images}


def _find_images(raw_images: dict[int, dict[str, Any]], path: Path) -> dict[int, Path]:
    """Locate every image file, or fail naming how many are missing."""
    folders = _image_folders(path)
    found: dict[int, Path] = {}
    missing = []
    for image_id, image in raw_images.items():
        candidates = (folder / image["file_name"] for folder in folders)
        located = next((candidate for candidate in candidates if candidate.is_file()), None)
        if located is None:
            missing.append(image["file_name"])
        else:
            found[image_id] = located
    if missing:
        raise missing_images(path, missing, len(raw_images), folders)
    return found


def _image_folders(path: Path) -> list[Path]:
    """For `annotations/val.json`: `val/`, the JSON's own folder, `images/`, and the split's folder in or above it."""
    root = path.parent.parent
    folders = [root / path.stem, path.parent, root / "images"]
    for split in _splits_named(path):
        folders += [root / split, root / split / "images", root / "images" / split]
    return list(dict.fromkeys(folders))


def _record(
    raw: dict[str, Any],
    image_path: Path,
    annotations: list[dict[str, Any]],
    class_id_of_category: dict[int, int],
    path: Path,
    counts: Counter[str],
) -> ImageRecord:
    width, height = raw["width"], raw["height"]
    boxes = _corners([(f"annotation {entry.get('id')} has bbox", entry.get("bbox")) for entry in annotations], path)
    clipped, inside = clip_boxes(boxes, width=width, height=height, counts=counts)
    regions = raw.get("ignored_regions") or []
    if not isinstance(regions, list):
        raise InputError(f"{path}: ignored_regions of {raw['file_name']} should be a list of boxes, got {regions!r}")
    regions = _corners([(f"image {raw['file_name']} ignores", box) for box in regions], path)
    ignored, kept = clip_boxes(regions, width=width, height=height, counts=Counter())
    return ImageRecord(
        image_id=raw["id"],
        path=image_path,
        width=width,
        height=height,
        boxes_xyxy_px=clipped[inside],
        class_ids=np.array([class_id_of_category[a["category_id"]] for a in annotations], np.int64)[inside],
        is_crowd=np.array([any(a.get(key) for key in CROWD_KEYS) for a in annotations], bool)[inside],
        ignored_xyxy_px=ignored[kept],
        sequence=None if raw.get("sequence") is None else str(raw["sequence"]),
        time_s=_time_of(raw, path),
        track_ids=_track_ids(annotations, raw, path, inside),
    )


def _time_of(raw: dict[str, Any], path: Path) -> float | None:
    time_s = raw.get("time_s")
    if time_s is not None and not _is_number(time_s):
        raise InputError(f"{path}: image {raw['file_name']} has time_s {time_s!r}, expected seconds")
    return None if time_s is None else float(time_s)


def _track_ids(
    annotations: list[dict[str, Any]], raw: dict[str, Any], path: Path, inside: NDArray[np.bool_]
) -> NDArray[np.int64] | None:
    """(M,) of the boxes inside the image; None where no annotation of the image has a `track_id`."""
    ids = [entry.get("track_id") for entry in annotations]
    marked = [track_id for track_id in ids if track_id is not None]
    if not marked:
        return None
    for track_id in marked:
        if not _is_integer(track_id) or track_id < 0:
            raise InputError(f"{path}: track_id {track_id!r} in {raw['file_name']}, expected an integer from 0 on")
    repeated = _first_repeated(marked)
    if repeated is not None:
        raise InputError(f"{path}: two objects in {raw['file_name']} have the track_id {repeated}")
    return np.array([-1 if track_id is None else track_id for track_id in ids], np.int64)[inside]


def _corners(boxes: list[tuple[str, Any]], path: Path) -> NDArray[np.float64]:
    """(what to say of it, [left, top, width, height]) each, to (M, 4) left, top, right, bottom."""
    for what, box in boxes:
        if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
            raise InputError(f"{path}: {what} {box!r}, expected [left, top, width, height] in pixels")
    corners = np.array([box for _, box in boxes], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _first_repeated(values: Sequence[Any]) -> Any | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


def _shown(ids: dict[int, int], limit: int = 10) -> str:
    shown = ", ".join(str(category_id) for category_id in list(ids)[:limit])
    return (shown or "none at all") + (", ..." if len(ids) > limit else "")

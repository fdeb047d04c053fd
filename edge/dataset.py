"""Reading COCO JSON, the one dataset format inside; shared by training, evaluation and profiling."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageRecord:
    """One image and the M objects marked in it."""

    image_id: int
    path: Path
    width: int
    height: int
    boxes_xyxy_px: npt.NDArray[np.float32]
    """(M, 4) left, top, right, bottom, inside the image, none of zero size."""
    class_ids: npt.NDArray[np.int64]
    """(M,) index into the data set's class names."""
    is_crowd: npt.NDArray[np.bool_]
    """(M,) True: the box marks a group, which neither rewards nor punishes a detection."""
    sequence: str | None = None
    """The clip or flight the image belongs to, where the file says so."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A data set as one COCO JSON file describes it."""

    path: Path
    """The JSON file."""
    images: tuple[ImageRecord, ...]
    class_names: tuple[str, ...]
    """Class i is the category with the i-th lowest id."""
    notes: tuple[str, ...]
    """What was clipped or dropped while reading, counted: to be shown to the user."""

    @property
    def object_count(self) -> int:
        """Boxes in all images, crowds included."""
        return sum(len(image.class_ids) for image in self.images)


def read_dataset(data: Path | str, *, split: str = "val") -> Dataset:
    """Read a COCO JSON file, or `annotations/<split>.json` of a folder.

    Images are looked for in the folder named like the JSON file beside its folder (`annotations/val.json` -> `val/`),
    beside the JSON file, and in `images/` beside its folder.

    Raises:
        InputError: the file is missing, no JSON or no COCO; it holds no image; an annotation names an unknown category
            or image or has no box of four finite numbers; ids or class names repeat; image files are missing.
    """
    path = _json_path(Path(data), split)
    content = _read_json(path)
    class_names, class_id_of_category = _read_categories(content, path)
    raw_images = _read_images(content, path)
    annotations: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in raw_images}
    for annotation in _list_of(content, "annotations", path):
        image_id, category_id = annotation.get("image_id"), annotation.get("category_id")
        if image_id not in annotations:
            raise InputError(
                f"{path}: annotation {annotation.get('id')} is on image id {image_id!r}, which is not listed"
            )
        if category_id not in class_id_of_category:
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
    notes = tuple(f"{path}: {count} {_boxes(count)} {what}" for what, count in sorted(counts.items()) if count)
    return Dataset(path=path, images=images, class_names=class_names, notes=notes)


def _json_path(data: Path, split: str) -> Path:
    if not data.exists():
        raise InputError(
            f"data set {data} does not exist: expected a COCO JSON file or a folder with annotations/{split}.json"
        )
    path = data / "annotations" / f"{split}.json" if data.is_dir() else data
    if not path.is_file():
        found = sorted(other.stem for other in path.parent.glob("*.json"))
        there = f"splits there: {', '.join(found)}" if found else "no annotations there"
        raise InputError(f"data set {data} has no annotations/{split}.json ({there})")
    return path


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
    folders = [path.parent.parent / path.stem, path.parent, path.parent.parent / "images"]
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
        raise InputError(
            f"{path}: {len(missing)} of {len(raw_images)} image files are missing, the first is {missing[0]}; "
            f"looked in {', '.join(str(folder) for folder in folders)}"
        )
    return found


def _record(
    raw: dict[str, Any],
    image_path: Path,
    annotations: list[dict[str, Any]],
    class_id_of_category: dict[int, int],
    path: Path,
    counts: Counter[str],
) -> ImageRecord:
    limit = np.array([raw["width"], raw["height"]] * 2, np.float64)
    boxes = np.array([_box(annotation, path) for annotation in annotations], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    clipped = np.clip(boxes, 0, limit).astype(np.float32)
    inside = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    counts["of zero size or wholly outside the image: dropped"] += int((~inside).sum())
    # Exporters round to a few decimals: what reaches out by less than a hundredth of a pixel is not worth a word.
    reaching_out = (np.abs(clipped - boxes) > 0.01).any(axis=1)
    counts["reaching outside the image: clipped"] += int((reaching_out & inside).sum())
    return ImageRecord(
        image_id=raw["id"],
        path=image_path,
        width=raw["width"],
        height=raw["height"],
        boxes_xyxy_px=clipped[inside],
        class_ids=np.array([class_id_of_category[a["category_id"]] for a in annotations], np.int64)[inside],
        is_crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], bool)[inside],
        sequence=None if raw.get("sequence") is None else str(raw["sequence"]),
    )


def _box(annotation: dict[str, Any], path: Path) -> list[float]:
    """Left, top, width, height."""
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        raise InputError(
            f"{path}: annotation {annotation.get('id')} has bbox {box!r}, expected [left, top, width, height] in pixels"
        )
    return [float(value) for value in box]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _first_repeated(values: Sequence[Any]) -> Any | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)


def _shown(ids: dict[int, int], limit: int = 10) -> str:
    shown = ", ".join(str(category_id) for category_id in list(ids)[:limit])
    return (shown or "none at all") + (", ..." if len(ids) > limit else "")


def _boxes(count: int) -> str:
    return "box" if count == 1 else "boxes"

"""Any data set that can be read, written as COCO JSON."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from edge.dataset import Dataset, ImageRecord
from edge.errors import InputError
from edge.files import writable_folder, write_json

Progress = Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]]


def convert(splits: dict[str, Dataset], out: Path, progress: Progress | None = None) -> None:
    """Write `out`/annotations/<split>.json and the images into `out`/<split>, as hard links where that is possible.

    The folder appears when everything is in it. Raises `InputError` when `out` exists or cannot be written.
    """
    if out.exists():
        raise InputError(f"{out} exists: choose another --out folder")
    partial = writable_folder(out.parent / f".{out.name}.partial-{os.getpid()}")
    try:
        for name, dataset in splits.items():
            folder = writable_folder(partial / name)
            names = _file_names(dataset)
            for record in dataset.images if progress is None else progress(dataset.images):
                _link(record.path, folder / names[record.path])
            write_json(partial / "annotations" / f"{name}.json", _coco(dataset, names))
        partial.rename(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _file_names(dataset: Dataset) -> dict[Path, str]:
    """A flat name for each image; where two folders use the same, the folder's name goes in front."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for record in dataset.images:
        if record.path in names:
            raise InputError(f"{dataset.path} lists {record.path} twice: remove one of its entries")
        name, parent = record.path.name, record.path.parent
        while name in taken:
            name, parent = f"{parent.name}-{name}", parent.parent
        names[record.path] = name
        taken.add(name)
    return names


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _coco(dataset: Dataset, names: dict[Path, str]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in dataset.images:
        image: dict[str, Any] = {
            "id": record.image_id,
            "file_name": names[record.path],
            "width": record.width,
            "height": record.height,
        }
        if record.sequence is not None:
            image["sequence"] = record.sequence
        if len(record.ignored_xyxy_px):
            image["ignored_regions"] = [_ltwh(box) for box in record.ignored_xyxy_px.tolist()]
        images.append(image)
        for box, class_id, is_crowd in zip(
            record.boxes_xyxy_px.tolist(), record.class_ids.tolist(), record.is_crowd.tolist(), strict=True
        ):
            left, top, width, height = _ltwh(box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": record.image_id,
                    "category_id": class_id + 1,
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "iscrowd": int(is_crowd),
                }
            )
    categories = [{"id": index, "name": name} for index, name in enumerate(dataset.class_names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _ltwh(box_xyxy: list[float]) -> list[float]:
    left, top, right, bottom = box_xyxy
    return [left, top, right - left, bottom - top]

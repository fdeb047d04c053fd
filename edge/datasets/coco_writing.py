"""Write a data set as COCO JSON: the counterpart of `tinydet.edge.datasets.coco`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.files.image_header import image_size


def flat_names(dataset: Dataset) -> dict[Path, str]:
    """A file name for each image; images of one name in different folders get the folder's name in front.

    Raises:
        InputError: a file is no image: its name may be a link to something else, and what has a name is copied or sent.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for record in dataset.images:
        image_size(record.path)
        name, parent = record.path.name, record.path.parent
        while name in taken:
            name, parent = f"{parent.name}-{name}", parent.parent
        names[record.path] = name
        taken.add(name)
    return names


def coco_content(dataset: Dataset, names: dict[Path, str]) -> dict[str, Any]:
    """The content of the JSON file; `names` are the images' file names."""
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
        if record.time_s is not None:
            image["time_s"] = record.time_s
        if len(record.ignored_xyxy_px):
            image["ignored_regions"] = [_ltwh(box) for box in record.ignored_xyxy_px.tolist()]
        images.append(image)
        for index, box in enumerate(record.boxes_xyxy_px.tolist()):
            left, top, width, height = _ltwh(box)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": record.image_id,
                "category_id": int(record.class_ids[index]) + 1,
                "bbox": [left, top, width, height],
                "area": width * height,
                "iscrowd": int(record.is_crowd[index]),
            }
            if record.track_ids is not None and record.track_ids[index] >= 0:
                annotation["track_id"] = int(record.track_ids[index])
            annotations.append(annotation)
    categories = [{"id": index, "name": name} for index, name in enumerate(dataset.class_names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _ltwh(box_xyxy: list[float]) -> list[float]:
    left, top, right, bottom = box_xyxy
    return [left, top, right - left, bottom - top]

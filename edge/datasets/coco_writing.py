"""Write a data set as COCO JSON: the counterpart of `tinydet.edge.datasets.coco`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinydet.edge.datasets.dataset import Dataset


def flat_names(dataset: Dataset) -> dict[Path, str]:
    """A file name for each image; images of one name in different folders get the folder's name in front."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for record in dataset.images:
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

"""Small COCO data sets on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tinydet.edge.files.images import write_image

CATEGORIES = [{"id": 7, "name": "truck"}, {"id": 3, "name": "car"}]


def coco(**changes: Any) -> dict[str, Any]:
    """Two images of 64x48; a car and a truck in the first, nothing in the second."""
    return {
        "images": [
            {"id": 10, "file_name": "a.png", "width": 64, "height": 48, "sequence": "flight-1"},
            {"id": 20, "file_name": "b.png", "width": 64, "height": 48},
        ],
        "categories": CATEGORIES,
        "annotations": [
            annotation(bbox=[10, 20, 4, 8]),
            annotation(id=2, category_id=7, bbox=[0, 0, 20, 10], iscrowd=1),
        ],
    } | changes


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 1, 5, 5], "iscrowd": 0} | changes


def write_coco(folder: Path, content: Any = None, *, split: str = "val", images_in: str | None = None) -> Path:
    """Write the folder `folder` with annotations and black images; returns the JSON file."""
    content = coco() if content is None else content
    path = folder / "annotations" / f"{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    if isinstance(content, dict):
        for image in content.get("images", []):
            write_image(folder / (images_in or split) / image["file_name"], np.zeros((48, 64, 3), np.uint8))
    return path

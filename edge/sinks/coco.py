"""`CocoJson`: one COCO JSON file with images, categories and scored annotations."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from tinydet.edge.files.writing import atomic_path, writable_folder
from tinydet.edge.sinks.sink import Sink, rows
from tinydet.edge.stream.frame_result import FrameResult


class CocoJson(Sink):
    """Writes COCO JSON, which labelling tools import as proposals. Streamed to disk: a long flight needs no memory."""

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        self.name = str(path)
        self._path = path
        writable_folder(path.parent)
        self._categories = [{"id": index, "name": name} for index, name in enumerate(class_names, 1)]
        self._image_count = self._annotation_count = 0
        self._cleanup = ExitStack()
        self._file: IO[str] | None = None
        self._images: IO[str] | None = None

    def __enter__(self) -> CocoJson:
        with ExitStack() as opened:
            partial = opened.enter_context(atomic_path(self._path))
            self._file = opened.enter_context(partial.open("w", encoding="utf-8"))
            self._images = opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=self._path.parent))
            self._file.write(f'{{"categories": {json.dumps(self._categories)},\n"annotations": [\n')
            self._cleanup = opened.pop_all()
        return self

    def write(self, result: FrameResult) -> None:
        assert self._file is not None and self._images is not None, "a sink is used within its with block"
        height, width = result.frame.image_rgb.shape[:2]
        image = {"id": self._image_count + 1, "file_name": result.frame.name, "width": width, "height": height}
        _append(self._images, image, is_first=self._image_count == 0)
        self._image_count += 1
        for box, score, class_id in rows(result.detections):
            left, top, right, bottom = box
            annotation = {
                "id": self._annotation_count + 1,
                "image_id": self._image_count,
                "category_id": class_id + 1,
                "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                "area": round((right - left) * (bottom - top), 2),
                "score": score,
                "iscrowd": 0,
            }
            _append(self._file, annotation, is_first=self._annotation_count == 0)
            self._annotation_count += 1

    def __exit__(self, *error: Any) -> None:
        if error[0] is not None or self._file is None or self._images is None:
            self._cleanup.__exit__(*error)
            return
        with self._cleanup:  # a full disk leaves nothing half written
            self._file.write('\n],\n"images": [\n')
            self._images.seek(0)
            for line in self._images:
                self._file.write(line)
            self._file.write("\n]}\n")


def _append(file: IO[str], item: dict[str, Any], *, is_first: bool) -> None:
    file.write(("" if is_first else ",\n") + json.dumps(item, allow_nan=False))

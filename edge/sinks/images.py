"""`AnnotatedImages`: images with the detections drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinydet.edge.files.images import IMAGE_SUFFIXES, write_image
from tinydet.edge.files.writing import writable_folder
from tinydet.edge.sinks.drawing import draw_detections
from tinydet.edge.sinks.sink import Sink
from tinydet.edge.stream.frame_result import FrameResult


class AnnotatedImages(Sink):
    """Writes every frame with its detections drawn, under the frame's name."""

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self.name = str(folder)
        self._folder = writable_folder(folder)
        self._class_names = class_names

    def write(self, result: FrameResult) -> None:
        frame = result.frame
        has_suffix = Path(frame.name).suffix.lower() in IMAGE_SUFFIXES
        target = self._folder / (frame.name if has_suffix else f"{frame.name}.jpg")
        write_image(target, draw_detections(frame.image_rgb, result.detections, self._class_names))

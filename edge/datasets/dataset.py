"""`Dataset` and `ImageRecord`: a data set after reading, whatever its files' format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.files.images import read_image
from tinydet.edge.files.printable import printable


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageRecord:
    """One image and its M annotated objects."""

    image_id: int
    path: Path
    width: int
    height: int
    boxes_xyxy_px: npt.NDArray[np.float32]
    """(M, 4) left, top, right, bottom, inside the image, none of zero size."""
    class_ids: npt.NDArray[np.int64]
    """(M,) indices into the data set's class names."""
    is_crowd: npt.NDArray[np.bool_]
    """(M,) True for a box that neither rewards nor punishes a detection: a group, a difficult object."""
    sequence: str | None = None
    """The clip or flight that the image belongs to, if the data set names it."""
    time_s: float | None = None
    """Seconds since the start of the sequence, if the data set states it."""
    track_ids: npt.NDArray[np.int64] | None = None
    """(M,) identities of the objects within the sequence, -1 for an unknown one; None if all are unknown."""
    ignored_xyxy_px: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """(K, 4) regions without annotations: detections mostly inside them are neither right nor wrong."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """One split of a data set."""

    path: Path
    """The file or folder that it was read from."""
    format: str
    """Name of the format, for people: `COCO JSON`, `YOLO`, ..."""
    images: tuple[ImageRecord, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    """Lines for the user on what was clipped, dropped or changed while reading, with counts."""

    @property
    def object_count(self) -> int:
        """Number of boxes in all images, with crowds."""
        return sum(len(image.class_ids) for image in self.images)


def read_record(record: ImageRecord) -> npt.NDArray[np.uint8]:
    """Read the record's image, (height, width, 3) uint8 RGB.

    Raises:
        InputError: it cannot be read, or its size differs from the record's.
    """
    image_rgb = read_image(record.path)
    height, width = image_rgb.shape[:2]
    if (width, height) != (record.width, record.height):
        raise InputError(
            f"{printable(record.path)} is {width}x{height}, the data set says {record.width}x{record.height}"
        )
    return image_rgb

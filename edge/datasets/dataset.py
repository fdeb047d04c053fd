"""What a data set is, whatever format its files have; shared by training, evaluation and profiling."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.images import read_image


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
    time_s: float | None = None
    """When the image was taken, since the start of its sequence, where the file says so."""
    track_ids: npt.NDArray[np.int64] | None = None
    """(M,) which object of its sequence each is, -1 for one whose identity is not marked; None: nobody marked any."""
    ignored_xyxy_px: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """(K, 4) regions that nobody annotated: what is detected mostly inside them is neither right nor wrong."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """One split of a data set."""

    path: Path
    """The JSON file or the folder."""
    format: str
    """For people: `COCO JSON`, `YOLO`, ..."""
    images: tuple[ImageRecord, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    """What was clipped or dropped while reading, counted: to be shown to the user."""

    @property
    def object_count(self) -> int:
        """Boxes in all images, crowds included."""
        return sum(len(image.class_ids) for image in self.images)


def read_record(record: ImageRecord) -> npt.NDArray[np.uint8]:
    """The record's image, (height, width, 3) uint8 RGB.

    Raises:
        InputError: it cannot be read, or has another size than the data set says.
    """
    image_rgb = read_image(record.path)
    height, width = image_rgb.shape[:2]
    if (width, height) != (record.width, record.height):
        raise InputError(f"{record.path} is {width}x{height}, the data set says {record.width}x{record.height}")
    return image_rgb

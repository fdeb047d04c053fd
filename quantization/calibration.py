"""Calibration images: the images that INT8 ranges are measured on.

How many are enough: with `n` and aerial photographs a single image cost up to 8 points of AP and four up to one point;
from 8 images on, whichever they were, AP was that of 82 (tests/accuracy/calibration_size.py; docs/quantization.md).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.reading import read_images
from tinydet.edge.detection.letterbox import Image, letterbox
from tinydet.edge.files.images import read_image
from tinydet.edge.files.regular_file import file_sha256

MAX_IMAGES = 32
HELD_IMAGES = 50
FEW_IMAGES = 8  # with fewer, the ranges depend on which images they are
FEW_HELD = 16
SPLIT = "train"  # of a data set; val is for measuring

Progress = Callable[[Sequence[Path]], Iterable[Path]]
"""Wraps the image files to show progress."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CalibrationImages:
    """Image files in the order of their names; sha256: hexadecimal, over the SHA-256 of each file's content in turn."""

    paths: tuple[Path, ...]
    sha256: str

    def as_metadata(self) -> dict[str, Any]:
        """Calibration as it is recorded in an artifact."""
        return {"count": len(self.paths), "sha256": self.sha256, "images": [path.name for path in self.paths]}

    def letterboxed(self, input_hw: tuple[int, int], progress: Progress | None = None) -> Iterator[Image]:
        """Yield each image letterboxed as for a runtime: (H, W, 3) uint8 RGB of `input_hw`.

        Raises `InputError` for a file that is not an image.
        """
        for path in self.paths if progress is None else progress(self.paths):
            yield letterbox(read_image(path), input_hw).image


def find_calibration_images(folder: Path, *, limit: int = MAX_IMAGES) -> CalibrationImages:
    """The images of a folder, or of the split `train` of a data set, evenly spaced where too many.

    Raises `InputError` when the folder does not exist, has no image, or is a data set that cannot be read.
    """
    paths = sorted(record.path for record in read_images(folder, split=SPLIT).images)
    chosen = tuple(paths[index * len(paths) // limit] for index in range(limit)) if len(paths) > limit else tuple(paths)
    if len(chosen) < FEW_IMAGES:
        _logger.warning("calibrating on %d images only: %d or more make INT8 reliable", len(chosen), FEW_IMAGES)
    digest = hashlib.sha256()
    for path in chosen:
        digest.update(bytes.fromhex(file_sha256(path, what="image")))
    return CalibrationImages(paths=chosen, sha256=digest.hexdigest())


def held_out_part(folder: Path, images: CalibrationImages, *, limit: int = HELD_IMAGES) -> Dataset | None:
    """Images of a data set's split `train` that calibration did not use, to compare methods on; None if too few.

    Evenly spaced where there are more than `limit`. A folder of images without labels has no such part.
    """
    dataset = read_images(folder, split=SPLIT)
    taken = set(images.paths)
    others = sorted((record for record in dataset.images if record.path not in taken), key=lambda record: record.path)
    if len(others) < FEW_HELD or not any(len(record.class_ids) for record in others):
        return None
    if len(others) > limit:
        others = [others[index * len(others) // limit] for index in range(limit)]
    return replace(dataset, images=tuple(others))

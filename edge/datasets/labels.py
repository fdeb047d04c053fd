"""What all formats do with labels: put boxes inside their image, count what had to be changed, find the image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import imagesize
import numpy as np
import numpy.typing as npt

from tinydet.edge.datasets.dataset import ImageRecord
from tinydet.edge.errors import InputError
from tinydet.edge.images import IMAGE_SUFFIXES

DROPPED = "of zero size or wholly outside the image: dropped"
CLIPPED = "reaching outside the image: clipped"


def clip_boxes(
    boxes_xyxy_px: npt.NDArray[np.float64], *, width: int, height: int, counts: Counter[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Boxes (M, 4) clipped to the image, and which of them (M,) have an area left; what changed is counted."""
    clipped = np.clip(boxes_xyxy_px, 0, np.array([width, height] * 2, np.float64)).astype(np.float32)
    inside: npt.NDArray[np.bool_] = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    counts[DROPPED] += int((~inside).sum())
    # Exporters round to a few decimals: what reaches out by less than a hundredth of a pixel is not worth a word.
    reaching_out = (np.abs(clipped - boxes_xyxy_px) > 0.01).any(axis=1)
    counts[CLIPPED] += int((reaching_out & inside).sum())
    return clipped, inside


def record_of(
    number: int,
    image: Path,
    *,
    size: tuple[int, int],
    boxes_xyxy_px: npt.NDArray[np.float64],
    class_ids: npt.NDArray[np.int64],
    is_crowd: npt.NDArray[np.bool_],
    counts: Counter[str],
) -> ImageRecord:
    """The record of an image of `size` (width, height) from its labels as they stand in the file."""
    width, height = size
    clipped, inside = clip_boxes(boxes_xyxy_px, width=width, height=height, counts=counts)
    return ImageRecord(
        image_id=number,
        path=image,
        width=width,
        height=height,
        boxes_xyxy_px=clipped[inside],
        class_ids=class_ids[inside],
        is_crowd=is_crowd[inside],
    )


def notes(path: Path, counts: Counter[str]) -> tuple[str, ...]:
    """One line for each thing that was counted."""
    return tuple(
        f"{path}: {count} {'box' if count == 1 else 'boxes'} {what}" for what, count in sorted(counts.items()) if count
    )


def image_files(folder: Path) -> list[Path]:
    """The images in `folder` and below, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from its header. Raises `InputError` when there is no such header."""
    width, height = imagesize.get(path)
    if width < 1 or height < 1:
        raise InputError(f"cannot read image {path}: not an image, or damaged")
    return width, height


def missing_images(path: Path, missing: Sequence[object], total: int, looked_in: Sequence[Path]) -> InputError:
    """The error for images that are listed but not there."""
    folders = ", ".join(str(folder) for folder in looked_in)
    return InputError(
        f"{path}: {len(missing)} of {total} image files are missing, the first is {missing[0]}; looked in {folders}"
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a label file that hold something. Raises `InputError` when it cannot be read as text."""
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"cannot read labels {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from error

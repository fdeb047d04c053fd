"""Checks and conversions shared by all formats: names of files, values, boxes, and notes on changes."""

from __future__ import annotations

import codecs
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import imagesize
import numpy as np
import numpy.typing as npt

from tinydet.edge.datasets.dataset import ImageRecord
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import IMAGE_SUFFIXES

DROPPED = "boxes of zero size or wholly outside the image: dropped"
CLIPPED = "boxes reaching outside the image: clipped"
SWAPPED = "boxes with swapped corners: put in order"
DOUBLED = "boxes listed twice: counted once"
LISTED_TWICE = "images listed twice: read once"

SPLIT_WORDS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation"},
    "test": {"test", "testing"},
}
FLAGS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def record_of(
    number: int,
    image: Path,
    *,
    size: tuple[int, int],
    boxes_xyxy_px: npt.NDArray[np.float64],
    class_ids: npt.NDArray[np.int64],
    is_crowd: npt.NDArray[np.bool_],
    counts: Counter[str],
    ignored_xyxy_px: npt.NDArray[np.float64] | None = None,
    sequence: str | None = None,
    time_s: float | None = None,
    track_ids: npt.NDArray[np.int64] | None = None,
) -> ImageRecord:
    """The record of an image of `size` (width, height) from the labels in its file; fields as in `ImageRecord`.

    Boxes and regions are clipped to the image; empty and repeated ones are dropped. `counts` counts what was changed.
    """
    width, height = size
    clipped, inside = _clip(boxes_xyxy_px, width=width, height=height)
    counts[DROPPED] += int((~inside).sum())
    # Exporters round to a few decimals: less than a hundredth of a pixel is not worth a note.
    counts[CLIPPED] += int(((np.abs(clipped - boxes_xyxy_px) > 0.01).any(axis=1) & inside).sum())
    kept = np.flatnonzero(inside)
    _, first = np.unique(np.column_stack([clipped, class_ids, is_crowd])[kept], axis=0, return_index=True)
    counts[DOUBLED] += len(kept) - len(first)
    kept = kept[np.sort(first)]
    regions = np.zeros((0, 4)) if ignored_xyxy_px is None else ignored_xyxy_px
    ignored, visible = _clip(regions, width=width, height=height)
    return ImageRecord(
        image_id=number,
        path=image,
        width=width,
        height=height,
        boxes_xyxy_px=clipped[kept],
        class_ids=class_ids[kept],
        is_crowd=is_crowd[kept],
        ignored_xyxy_px=ignored[visible],
        sequence=sequence,
        time_s=time_s,
        track_ids=None if track_ids is None else track_ids[kept],
    )


def _clip(
    boxes_xyxy_px: npt.NDArray[np.float64], *, width: int, height: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Boxes (M, 4) clipped to the image, and which of them (M,) have an area left."""
    clipped = np.clip(boxes_xyxy_px, 0, np.array([width, height] * 2, np.float64)).astype(np.float32)
    return clipped, (clipped[:, 2:] > clipped[:, :2]).all(axis=1)


def order_corners(boxes_xyxy: npt.NDArray[np.float64], counts: Counter[str]) -> npt.NDArray[np.float64]:
    """Boxes (M, 4) with left <= right and top <= bottom; swapped ones are counted."""
    first, second = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    counts[SWAPPED] += int((first > second).any(axis=1).sum())
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def integer(value: object) -> int | None:
    """A whole number as int; also one written as 3.0, "3" or "3.0". None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}(\.0*)?", value.strip()):
        value = int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) < 2**63 else None  # NumPy's int64


def flag(value: object) -> bool | None:
    """Truth of 0, 1, true, "0", "True" or nothing; None for anything else."""
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else None
    return FLAGS.get("" if value is None else str(value).strip().lower())


def notes(path: Path, counts: Counter[str]) -> tuple[str, ...]:
    """One line for each kind of change that was counted."""
    lines = []
    for text, count in sorted(counts.items()):
        noun, _, rest = text.partition(" ")
        singular = {"boxes": "box", "images": "image"}[noun]
        if count:
            lines.append(f"{path}: {count} {singular if count == 1 else noun} {rest}")
    return tuple(lines)


def splits_named(name: str) -> list[str]:
    """The splits in the name of a file or folder: val in `aitod_validation_v1`, none in `trainval`."""
    words = {re.sub(r"\d+$", "", word) for word in words_of(name)}
    return [split for split, names in SPLIT_WORDS.items() if words & names]


def split_of_folder(name: str) -> str | None:
    """The split whose name a folder has: `valid`, `Train2017`; None for others, such as `test_flights`."""
    return next(iter(splits_named(name)), None) if len(words_of(name)) == 1 else None


def words_of(name: str) -> set[str]:
    """The words of a name, in lower case: instances and val2017 of `instances_val2017`."""
    return set(re.split(r"[^a-z0-9]+", name.lower())) - {""}


def is_litter(name: str) -> bool:
    """Whether a name is of a file or folder that operating systems leave behind: `._a.jpg`, `.DS_Store`, `@eaDir`."""
    return name.startswith(".") or name == "@eaDir"


def files_in(folder: Path, *suffixes: str) -> list[Path]:
    """The files in `folder` with one of the suffixes (in lower case), sorted, without litter."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not is_litter(p.name) and p.is_file())


def folders_in(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted, without litter."""
    return sorted(path for path in folder.iterdir() if not is_litter(path.name) and path.is_dir())


def image_files(folder: Path) -> list[Path]:
    """The images in `folder` and below, sorted, without litter."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_litter(name)]
        found += [Path(parent, name) for name in names if not is_litter(name)]
    return sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def each_once(images: Sequence[str], counts: Counter[str]) -> list[str]:
    """The names of images in their order, each once; repeated ones are counted."""
    unique = list(dict.fromkeys(images))
    counts[LISTED_TWICE] += len(images) - len(unique)
    return unique


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from its header. Raises `InputError` if it has none."""
    width, height = imagesize.get(path)
    if width < 1 or height < 1:
        raise InputError(f"cannot read image {path}: not an image, or damaged")
    return width, height


def missing_images(path: Path, missing: Sequence[object], total: int, looked_in: Sequence[Path]) -> InputError:
    """The error for listed images that do not exist."""
    folders = ", ".join(str(folder) for folder in looked_in)
    return InputError(
        f"{path}: {len(missing)} of {total} image files are missing, the first is {missing[0]}; looked in {folders}"
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a label file that are not blank. Raises `InputError` when it cannot be read as text."""
    try:
        content = path.read_bytes()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell's `>` writes
        return [line for line in content.decode("utf-16" if is_utf16 else "utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"cannot read labels {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from error

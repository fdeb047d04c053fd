"""Checks and conversions shared by all formats: names of files, values, boxes, and notes on changes."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydet.edge.datasets.dataset import ImageRecord
from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import LARGEST_PIXELS
from tinydet.edge.files.images import IMAGE_SUFFIXES
from tinydet.edge.files.names_inside import check_name
from tinydet.edge.files.numbers import whole
from tinydet.edge.files.printable import is_printable, printable, shown
from tinydet.edge.files.regular_file import kind_of
from tinydet.edge.files.schema import LONGEST_NAME

DROPPED = "boxes of zero size or wholly outside the image: dropped"
CLIPPED = "boxes reaching outside the image: clipped"
SWAPPED = "boxes with swapped corners: put in order"
DOUBLED = "boxes listed twice: counted once"
LISTED_TWICE = "images listed twice: read once"
WITHOUT_IMAGE = "labels without an image: left out"

SPLIT_WORDS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation"},
    "test": {"test", "testing"},
}


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
    first: dict[tuple[float, ...], int] = {}
    rows = np.column_stack([clipped, class_ids, is_crowd]).tolist()
    for index in np.flatnonzero(inside).tolist():
        first.setdefault(tuple(rows[index]), index)
    kept = np.array([*first.values()], np.int64)
    counts[DOUBLED] += int(inside.sum()) - len(kept)
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


def name_inside(name: str, *, folder: Path, root: Path, source: str) -> str:
    """The name of an image in a file of the data set, checked: relative to any folder, or made relative to `root`.

    Args:
        name: relative, or absolute if it leads into `root`.
        folder: `..` in it starts here: the folder of the file that holds it.
        root: the data set's folder. Links in it may lead anywhere: data sets are made of links.
        source: begins error messages: the file that holds the name.

    Raises:
        InputError: it leads out of `root`, so that a foreign data set could name any file of the user; or it is no
            file name (`check_name`).
    """
    if "\0" not in name and (Path(name).is_absolute() or ".." in Path(name).parts):
        inner = os.path.relpath(lexical(folder / name), lexical(root))
        name = name if inner.startswith("..") else inner
    check_name(name, source=source)
    return name


def lexical(path: Path | str) -> Path:
    """`path` absolute and without `..`, by its letters only: links stay as they are."""
    return Path(os.path.normpath(Path(path).absolute()))


def class_name(value: object, source: str) -> str:
    """A class name from a file: it is shown in terminals, drawn on images and written into models.

    Raises:
        InputError: it is not text of 1 to 200 printable characters; `source` begins the message.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME or not is_printable(value):
        quote = "; quote numbers" if isinstance(value, (int, float)) else ""
        raise InputError(
            f"{source}: expected class names of 1 to {LONGEST_NAME} printable characters{quote}, got {shown(value)}"
        )
    return value


def pixel_size(width: object, height: object, source: str) -> tuple[int, int]:
    """Width and height of an image as labels state them. Raises `InputError` if they are no sizes of an image."""
    sides = whole(width, f"{source}: width", 1, LARGEST_PIXELS), whole(height, f"{source}: height", 1, LARGEST_PIXELS)
    if sides[0] * sides[1] > LARGEST_PIXELS:
        raise InputError(f"{source}: {sides[0]}x{sides[1]} pixels are too many: expected {LARGEST_PIXELS} or fewer")
    return sides


def numbers_in(columns: Sequence[str]) -> list[float] | None:
    """The columns of a label line as finite floats; None if one is not the plain text of a number."""
    try:
        numbers = [float(column) for column in columns]
    except ValueError:
        return None
    text = "".join(columns)
    is_plain = text.isascii() and "_" not in text  # Python also reads 1_0 and the digits of other scripts
    return numbers if is_plain and all(map(math.isfinite, numbers)) else None


def notes(path: Path, counts: Counter[str]) -> tuple[str, ...]:
    """One line for each kind of change that was counted."""
    lines = []
    for text, count in sorted(counts.items()):
        noun, _, rest = text.partition(" ")
        singular = {"boxes": "box", "images": "image", "labels": "label file"}[noun]
        if count:
            lines.append(f"{printable(path)}: {count} {singular if count == 1 else noun} {rest}")
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
    """The files in `folder` with one of the suffixes (in lower case), sorted, without litter.

    Raises:
        InputError: one is a folder, a pipe, a socket, a device or a broken link.
    """
    if not folder.is_dir():
        return []
    named = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and not is_litter(path.name))
    return list(map(_checked, named))


def folders_in(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted, without litter."""
    return sorted(path for path in folder.iterdir() if not is_litter(path.name) and path.is_dir())


def image_files(folder: Path) -> list[Path]:
    """The images in `folder` and below, sorted, without litter.

    Raises:
        InputError: one is a pipe, a socket, a device, a broken link or an empty folder.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        if not folders and not names and Path(parent).suffix.lower() in IMAGE_SUFFIXES:
            _checked(Path(parent))
        folders[:] = [name for name in folders if not is_litter(name)]
        found += [Path(parent, name) for name in names if not is_litter(name)]
    return sorted(_checked(path) for path in found if path.suffix.lower() in IMAGE_SUFFIXES)


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of `image_files` by name without ending, which labels have too. Raises `InputError` for two of one."""
    images: dict[str, Path] = {}
    for path in image_files(folder):
        if images.setdefault(path.stem, path) != path:
            raise InputError(f"{printable(path)} has the labels of {printable(images[path.stem])}: rename one of them")
    return images


def _checked(path: Path) -> Path:
    """`path` if it is a file; `InputError` for anything else: reading it may never end."""
    kind = kind_of(path)
    if kind == "file":
        return path
    raise InputError(f"cannot read {printable(path)}: expected a file, got a {kind or 'link to nothing'}: remove it")


def each_once(images: Sequence[str], counts: Counter[str]) -> list[str]:
    """The names of images in their order, each once; repeated ones are counted."""
    unique: dict[str, str] = {}
    for image in images:
        unique.setdefault(str(lexical(image)), image)
    counts[LISTED_TWICE] += len(images) - len(unique)
    return list(unique.values())


def missing_images(path: Path, missing: Sequence[object], total: int, looked_in: Sequence[Path]) -> InputError:
    """The error for listed images that do not exist."""
    folders = printable(", ".join(str(folder) for folder in looked_in))
    first = printable(missing[0])
    return InputError(
        f"{printable(path)}: {len(missing)} of {total} image files are missing, the first is {first}; "
        f"looked in {folders}"
    )

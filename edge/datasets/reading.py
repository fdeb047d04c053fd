"""Find and read data sets in the formats people have: each format's module gives the same `Dataset`."""

from __future__ import annotations

import re
from pathlib import Path

from tinydet.edge.datasets import coco, dota, unlabelled, visdrone, visdrone_video, voc, yolo
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import is_printable, printable, shown
from tinydet.edge.files.regular_file import kind_of

FORMATS = (coco, visdrone, visdrone_video, yolo, voc, dota)
"""Modules with `LAYOUT` (for messages), `find` (a split's file or folder; None if the path is not of this format),
`has_splits` (whether `find` depends on the split) and `read`."""

DATASETS, SHARED = Path("datasets"), Path("../shared/data")
PUBLIC_SETS = {
    "aerial-vehicles": "aerial-vehicles",
    "hit-uav": "hit-uav",
    "AI-TOD": "aitod",
    "AI-TOD-v2": "aitod-v2",
    "VisDrone": "visdrone",
    "tiny_set": "tinyperson",
}
"""Names for `tinydet data fetch`, by the folder in `datasets`."""


def find_dataset(data: Path | str) -> Path:
    """The path of a data set: `data`, or for `datasets/...` the same path in ../shared/data, beside a team's checkouts.

    Raises:
        InputError: there is neither.
    """
    path = Path(data)
    if kind_of(path) is not None:
        return path
    if path.parts[:1] != DATASETS.parts:
        raise InputError(
            f"data set {printable(path)} does not exist: expected a data set's folder or file, or a folder of images"
        )
    shared = SHARED / path.relative_to(DATASETS)
    if kind_of(shared) is not None:
        return shared
    name = PUBLIC_SETS.get(path.parts[1]) if len(path.parts) > 1 else None
    fetch = "" if name is None else f": get it with tinydet data fetch {name}"
    raise InputError(f"data set {printable(path)} does not exist, nor does {printable(shared)}{fetch}")


def read_dataset(data: Path | str, *, split: str = "val") -> Dataset:
    """Read one split of a data set: COCO JSON (AI-TOD, TinyPerson), VisDrone, YOLO, Pascal VOC or DOTA.

    `data` is the data set's folder, or the file that describes it, as for `find_dataset`.

    Raises:
        InputError: it does not exist or has none of these layouts, the split is missing or empty, labels are broken or
            contradict each other, images are missing.
    """
    return _read(data, split, unlabelled_too=False)


def read_images(data: Path | str, *, split: str = "val") -> Dataset:
    """Read one split of a data set as `read_dataset`, or a folder of images without labels.

    Of such a folder, the subfolder that is named for the split if there is one. Raises `InputError` as `read_dataset`,
    and for an image that has no readable header.
    """
    return _read(data, split, unlabelled_too=True)


def _read(data: Path | str, split: str, *, unlabelled_too: bool) -> Dataset:
    path = find_dataset(data)
    if not is_printable(split) or not re.fullmatch(r"[^/]{1,200}", split) or split in (".", ".."):
        raise InputError(f"split {shown(split)}: expected its name, such as train, val or test")
    for format_ in FORMATS:
        found = format_.find(path, split)
        if found is not None:
            dataset: Dataset = format_.read(found, split)
            return dataset
    if others := splits_of(path):
        raise InputError(f"data set {printable(path)} has no split {split} (splits there: {', '.join(others)})")
    folder = unlabelled.find(path, split) if unlabelled_too else None
    if folder is not None:
        return unlabelled.read(folder)
    layouts = [format_.LAYOUT.format(split=split) for format_ in FORMATS] + ["images"] * unlabelled_too
    raise InputError(f"data set {printable(path)} is no data set that can be read: looked for {'; '.join(layouts)}")


def splits_of(data: Path | str) -> list[str]:
    """The splits of a data set out of train, val and test; one without splits counts as train.

    Raises:
        InputError: it does not exist.
    """
    path = find_dataset(data)
    for format_ in FORMATS:
        splits = [split for split in ("train", "val", "test") if format_.find(path, split) is not None]
        if splits:
            return splits if format_.has_splits(path) else splits[:1]
    return []

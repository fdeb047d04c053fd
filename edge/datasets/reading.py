"""Reading data sets as people have them: one file per format, all giving the same `Dataset`."""

from __future__ import annotations

from pathlib import Path

from tinydet.edge.datasets import coco, visdrone, voc, yolo
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.errors import InputError

FORMATS = (coco, visdrone, yolo, voc)
"""Each module knows its `LAYOUT` (for people), `find` (the split's file or folder, None if it is not this format),
`has_splits` (False: what `find` found is the same whatever split is asked for) and `read`."""


def read_dataset(data: Path | str, *, split: str = "val") -> Dataset:
    """Read one split of a data set: COCO JSON (AI-TOD, TinyPerson), VisDrone-DET, YOLO or Pascal VOC.

    `data` is the data set's folder, or the file that describes it.

    Raises:
        InputError: it does not exist or has none of these layouts, the split is missing or empty, labels are broken or
            contradict each other, images are missing.
    """
    path = Path(data)
    for format_ in FORMATS:
        found = format_.find(path, split) if path.exists() else None
        if found is not None:
            dataset: Dataset = format_.read(found, split)
            return dataset
    if path.is_dir() and (others := splits_of(path)):
        raise InputError(f"data set {path} has no split {split} (splits there: {', '.join(others)})")
    problem = "is no data set that can be read" if path.exists() else "does not exist"
    expected = "; ".join(format_.LAYOUT.format(split=split) for format_ in FORMATS)
    raise InputError(f"data set {path} {problem}: looked for {expected}")


def splits_of(data: Path | str) -> list[str]:
    """Which of train, val and test the data set has; one without splits counts as train."""
    path = Path(data)
    for format_ in FORMATS:
        splits = [split for split in ("train", "val", "test") if format_.find(path, split) is not None]
        if splits:
            return splits if format_.has_splits(path) else splits[:1]
    return []

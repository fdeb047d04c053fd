"""Convert a data set of any readable format to COCO JSON."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tinydet.edge.datasets.coco_writing import coco_content, flat_names
from tinydet.edge.datasets.dataset import Dataset, ImageRecord, read_record
from tinydet.edge.files.folders import new_folder
from tinydet.edge.files.writing import writable_folder, write_json

Progress = Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]]


def convert(splits: dict[str, Dataset], out: Path, progress: Progress = iter) -> None:
    """Write `out`/annotations/<split>.json and copies of the images into `out`/<split>.

    Copies, not links: a foreign data set chooses the files, and a change to a link would change the file itself.

    `out` is created when it is complete.

    Raises:
        InputError: `out` exists, another run makes it, or it cannot be written; an image is damaged, or of another size
            than the data set says.
    """
    with new_folder(out) as partial:
        for name, dataset in splits.items():
            folder = writable_folder(partial / name)
            names = flat_names(dataset)
            targets = [folder / names[record.path] for record in dataset.images]
            with ThreadPoolExecutor() as pool:
                for _ in zip(pool.map(_copy, dataset.images, targets), progress(dataset.images), strict=True):
                    pass
            write_json(partial / "annotations" / f"{name}.json", coco_content(dataset, names))


def _copy(record: ImageRecord, target: Path) -> None:
    read_record(record)  # a damaged image would be found no earlier than in training
    shutil.copyfile(record.path, target)

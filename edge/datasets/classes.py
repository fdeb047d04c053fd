"""Change the classes of a data set: keep some, rename, merge, ignore."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable, shown

DROPPED, IGNORED = -1, -2


def keep_classes(dataset: Dataset, class_names: Sequence[str]) -> Dataset:
    """Keep the objects of these classes only, and every image; names that the data set lacks are skipped."""
    kept = {name: name for name in dataset.class_names if name in class_names}
    return _renamed(dataset, kept, ignore=())


def map_classes(dataset: Dataset, map: Mapping[str, str] | None = None, ignore: Sequence[str] = ()) -> Dataset:
    """Rename classes, or merge them, and ignore others.

    Args:
        dataset: any split.
        map: new name by old name. Classes with the same new name become one; a class that is not listed keeps its name.
        ignore: classes whose boxes become ignored regions, neither object nor background. An object that lies by half
            or more in such a region counts as a crowd.

    Raises:
        InputError: the data set has no class of a name in `map` or `ignore`, or a name is in both.
    """
    map = map or {}
    for name in [*map, *ignore]:
        if name not in dataset.class_names:
            close = difflib.get_close_matches(name, dataset.class_names, n=1, cutoff=0.5)
            names = ", ".join(shown(known) for known in dataset.class_names) or "no class"
            hint = f"did you mean {close[0]!r}?" if close else f"it has {names}"
            raise InputError(f"{printable(dataset.path)} has no class {shown(name)}: {hint}")
        if name in map and name in ignore:
            raise InputError(f"class {shown(name)} is both mapped to {shown(map[name])} and ignored: leave one out")
    return _renamed(dataset, {name: map.get(name, name) for name in dataset.class_names if name not in ignore}, ignore)


def _renamed(dataset: Dataset, new_names: Mapping[str, str], ignore: Sequence[str]) -> Dataset:
    """`new_names` by old name; objects of a class in neither `new_names` nor `ignore` are dropped."""
    names = tuple(dict.fromkeys(new_names.values()))
    positions = {name: index for index, name in enumerate(names)}
    ids = {old: positions[new] for old, new in new_names.items()} | dict.fromkeys(ignore, IGNORED)
    new_id = np.array([ids.get(name, DROPPED) for name in dataset.class_names], np.int64)

    def record(image: ImageRecord) -> ImageRecord:
        class_ids, boxes, is_crowd = new_id[image.class_ids], image.boxes_xyxy_px, image.is_crowd
        kept, regions = class_ids >= 0, boxes[class_ids == IGNORED]
        if len(regions):
            is_crowd = is_crowd | mostly_inside(boxes, regions, width=image.width, height=image.height)
        return replace(
            image,
            boxes_xyxy_px=boxes[kept],
            class_ids=class_ids[kept],
            is_crowd=is_crowd[kept],
            track_ids=None if image.track_ids is None else image.track_ids[kept],
            ignored_xyxy_px=np.concatenate([image.ignored_xyxy_px, regions]),
        )

    return replace(dataset, images=tuple(map(record, dataset.images)), class_names=names)

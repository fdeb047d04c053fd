"""Map classes of several data sets, or splits, of which each may have other classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tinydet.edge.datasets.classes import map_classes
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.reading import read_dataset
from tinydet.training.recipes.recipe import DataSettings


def read_split(settings: DataSettings, split: str) -> Dataset:
    """Read a split of the data set that a recipe validates on, with classes mapped and ignored. Raises `InputError`."""
    dataset = read_dataset(settings.val, split=split)
    return map_known_classes(dataset, settings.map, settings.ignore, known=[*settings.map, *settings.ignore])


def map_known_classes(
    dataset: Dataset, map: Mapping[str, str], ignore: Sequence[str], *, known: Collection[str]
) -> Dataset:
    """Rename, merge and ignore classes as `map_classes`, but skip those of `known` that `dataset` does not have.

    known: classes of all data sets together. Raises `InputError` for a class that none of them has.
    """
    elsewhere = set(known) - set(dataset.class_names)
    renamed = {old: new for old, new in map.items() if old not in elsewhere}
    return map_classes(dataset, renamed, [name for name in ignore if name not in elsewhere])

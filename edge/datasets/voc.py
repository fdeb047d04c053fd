"""Pascal VOC: an XML file for each image in `Annotations`, the image in `JPEGImages`, splits in `ImageSets/Main`.

Pixels are counted from 1 and a box includes its last one, so a box from 1 to 10 is 10 wide: left = xmin - 1,
right = xmax. Objects marked `difficult` neither reward nor punish a detection.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import image_files, image_size, missing_images, notes, read_lines, record_of
from tinydet.edge.errors import InputError

LAYOUT = "Pascal VOC (Annotations/*.xml with JPEGImages, and ImageSets/Main/{split}.txt if it has splits)"
NAME = "Pascal VOC"
IMAGE_FOLDERS = ("JPEGImages", "images", ".")


def find(path: Path, split: str) -> Path | None:
    """The folder that holds `Annotations`, if the split is there (a data set without splits has any split)."""
    labels = path / "Annotations"
    if not labels.is_dir() or next(labels.glob("*.xml"), None) is None:
        return None
    lists = path / "ImageSets" / "Main"
    return path if not lists.is_dir() or (lists / f"{split}.txt").is_file() else None


def has_splits(path: Path) -> bool:
    """Whether there are lists of images."""
    return (path / "ImageSets" / "Main").is_dir()


def read(folder: Path, split: str) -> Dataset:
    """Classes are the names that occur anywhere in the data set, sorted, so that its splits agree.

    Raises `InputError` for broken XML, an object without name or box, missing images.
    """
    trees = {path.stem: _parse(path) for path in sorted((folder / "Annotations").glob("*.xml"))}
    class_names = tuple(sorted({_name(entry) for tree in trees.values() for entry in tree.iter("object")} - {""}))
    listing = folder / "ImageSets" / "Main" / f"{split}.txt"
    stems = [line.split()[0] for line in read_lines(listing)] if listing.is_file() else list(trees)
    if not stems:
        raise InputError(f"{listing}: the split {split} is empty")
    unlabelled = [stem for stem in stems if stem not in trees]
    if unlabelled:
        raise InputError(f"{listing}: {unlabelled[0]} has no Annotations/{unlabelled[0]}.xml")
    folders = [folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()]
    images = {image.stem: image for place in reversed(folders) for image in image_files(place)}
    missing = [stem for stem in stems if stem not in images]
    if missing:
        raise missing_images(folder, missing, len(stems), folders)
    counts: Counter[str] = Counter()
    records = [
        _record(number, images[stem], trees[stem], class_names, counts) for number, stem in enumerate(stems, start=1)
    ]
    return Dataset(
        path=folder, format=NAME, images=tuple(records), class_names=class_names, notes=notes(folder, counts)
    )


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: broken XML: {error}") from error


def _record(
    number: int, image: Path, tree: ElementTree.Element, class_names: tuple[str, ...], counts: Counter[str]
) -> ImageRecord:
    objects = list(tree.iter("object"))
    return record_of(
        number,
        image,
        size=image_size(image),
        boxes_xyxy_px=np.array([_box(entry, image) for entry in objects], np.float64).reshape(-1, 4),
        class_ids=np.array([class_names.index(_name(entry)) for entry in objects], np.int64),
        is_crowd=np.array([(entry.findtext("difficult") or "0").strip() == "1" for entry in objects], bool),
        counts=counts,
    )


def _name(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def _box(entry: ElementTree.Element, image: Path) -> list[float]:
    """Left, top, right, bottom from 0, the last two exclusive."""
    box = entry.find("bndbox")
    try:
        if not _name(entry) or box is None:
            raise ValueError
        left, top, right, bottom = (float(box.findtext(side) or "") for side in ("xmin", "ymin", "xmax", "ymax"))
        if not np.isfinite([left, top, right, bottom]).all():
            raise ValueError
    except ValueError:
        raise InputError(
            f"Annotations of {image.name}: an object needs a name and a bndbox of four numbers, got "
            f"{' '.join(ElementTree.tostring(entry, encoding='unicode').split())}"
        ) from None
    return [left - 1, top - 1, right, bottom]

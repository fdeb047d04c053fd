"""Where COCO's JSON file and its images are in a data set folder, as these tools write them.

    COCO            annotations/instances_val2017.json      val2017/ or images/val2017/
    CVAT            annotations/instances_Validation.json   images/Validation/; without splits instances_default.json
    Roboflow        valid/_annotations.coco.json            valid/
    FiftyOne        labels.json                             data/
    Label Studio    result.json                             images/

Letter case and years may differ between the names of files and of folders.
"""

from __future__ import annotations

import filecmp
import mmap
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tinydet.edge.datasets.labels import (
    files_in,
    folders_in,
    image_files,
    name_inside,
    split_of_folder,
    splits_named,
    words_of,
)
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import MIB, open_file

COCO_KEY = re.compile(rb'"images"\s*:\s*\[\s*[{\]]')
COCO_BYTES = 1024 * MIB
"""Largest COCO file; those of COCO itself have 450 MB."""
MOST_FILES = 20
"""Maximum number of JSON files to look into in a folder; a folder with more has one for each image, not COCO."""
IMAGE_FOLDERS = {"images", "image", "imgs", "img", "data", "jpegimages"}


def find(path: Path, split: str) -> Path | None:
    """The JSON file of a split: `path` itself, or the one in the folder `path` that is named for the split.

    A file that names no split is the file of every split, if no file there names one.
    """
    if path.is_file():
        return path if path.suffix.lower() == ".json" else None
    exact = path / "annotations" / f"{split}.json"
    if exact.is_file():
        return exact
    by_split = _files_by_split(path)
    files = by_split.get(split, []) if set(by_split) - {""} else by_split.get("", [])
    instances = [file for file in files if file.stem.startswith("instances")]  # COCO has captions and keypoints beside
    files = instances if len(instances) == 1 else files
    if len(files) > 1:
        names = ", ".join(str(file.relative_to(path)) for file in files)
        raise InputError(f"{path} holds several files for the split {split}: name one of {names}")
    return files[0] if files else None


def has_splits(path: Path) -> bool:
    """Whether a file of the folder `path` names a split."""
    return path.is_dir() and bool(set(_files_by_split(path)) - {""})


def _files_by_split(path: Path) -> dict[str, list[Path]]:
    """The JSON files of a data set folder by the split in their or their folder's name; "" without one."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    if not path.is_dir():
        return found
    for folder in [path, *folders_in(path)]:
        in_annotations, of_folder = folder.name.lower() == "annotations", split_of_folder(folder.name)
        if folder == path:
            of_folder = None
        elif not in_annotations and of_folder is None:
            continue
        coco_files = _coco_files(folder)
        for file in files_in(folder, ".json"):
            named = splits_named(file.stem)
            if file in coco_files or (in_annotations and named):
                for split in named or [of_folder or ""]:
                    found[split].append(file)
    return found


def _coco_files(folder: Path) -> list[Path]:
    files = files_in(folder, ".json")
    return [file for file in files if _is_coco(file)] if len(files) <= MOST_FILES else []


def _is_coco(path: Path) -> bool:
    """Whether a JSON file has a list `images` of objects; searched as text, because it may be large."""
    try:
        with (
            open_file(path, limit_bytes=COCO_BYTES) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return COCO_KEY.search(content) is not None
    except (InputError, OSError, ValueError):  # not readable, too large, or empty
        return False


def locate(path: Path, file_names: Sequence[str]) -> tuple[list[Path | None], list[Path]]:
    """Find the image files that the JSON file `path` lists: a path or None for each name, and the folders looked in.

    Raises:
        InputError: a name leads out of the data set's folder; two equally likely folders hold different files of one
            name.
    """
    root, groups = _root(path), _image_folders(path)
    file_names = [name_inside(name, folder=path.parent, root=root, source=printable(path)) for name in file_names]
    files = [_locate(path, name, groups) or _locate(path, name.replace("\\", "/"), groups) for name in file_names]
    return files, [folder for group in groups for folder in group]


def _locate(path: Path, name: str, groups: Sequence[Sequence[Path]]) -> Path | None:
    for folders in groups:
        found = [file for file in dict.fromkeys(folder / name for folder in folders) if file.is_file()]
        for other in found[1:]:
            if not filecmp.cmp(found[0], other, shallow=False):
                name = printable(name)
                raise InputError(f"{path}: {name} may be {found[0]} or {other}, which differ: remove or rename one")
        if found:
            return found[0]
    return None


def _image_folders(path: Path) -> list[list[Path]]:
    """Folders in which the images may be, the likeliest first: with the JSON's name, with its split, for any images."""
    root = _root(path)
    splits, words = set(splits_named(path.stem)), {path.stem.lower(), *words_of(path.stem)}
    groups: list[list[Path]] = [[], [], list(dict.fromkeys([path.parent, root]))]

    def add(folder: Path, rank: int, depth: int) -> None:
        for inner in folders_in(folder):
            name, of_inner = inner.name.lower(), set(splits_named(inner.name))
            if name in words:
                own = 0
            elif of_inner & splits:
                own = 1
            elif name in IMAGE_FOLDERS or (of_inner and not splits):
                own = 2
            else:
                continue
            groups[min(rank, own)].append(inner)
            if depth > 1:
                add(inner, min(rank, own), depth - 1)

    add(root, 2, 2)
    return groups


def _root(path: Path) -> Path:
    """The data set's folder: that of the JSON file, or the one above."""
    return path.parent.parent if _is_annotation_folder(path.parent) else path.parent


def _is_annotation_folder(folder: Path) -> bool:
    """Whether a folder holds annotations only, so that the data set's folder is the one above."""
    return folder.name.lower().startswith("ann") or not (folders_in(folder) or image_files(folder))

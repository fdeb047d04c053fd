"""Public data sets that `tinydet data fetch` knows: one TOML file each, and a manifest of the files to download.

`NAME.manifest.gz` holds a line `SHA-256 bytes path` for each file that is needed. To make one, in a copy of the source:

    find * -type f | LC_ALL=C sort | while read -r file; do
        echo "$(sha256sum < "$file" | cut -c-64) $(stat -c %s "$file") $file"
    done | gzip -n9 > NAME.manifest.gz
"""

from __future__ import annotations

import difflib
import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tinydet.edge.errors import InputError
from tinydet.edge.files.schema import validated
from tinydet.edge.files.toml_file import read_toml
from tinydet.training.data.cuts import VocByFlight, YoloToCoco

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file to download."""

    path: str
    """Relative to the source, with `/`."""
    size_bytes: int
    sha256: str
    """Lower-case hexadecimal digits."""


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """How to get a data set that only its authors may hand out."""

    steps: tuple[str, ...]
    """One line each; `{folder}` stands for the data set's folder."""
    holds: tuple[str, ...]
    """Files and folders of the data set's folder once that is done."""


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A data set that its authors publish; the fields of its TOML file."""

    title: str
    folder: str
    """Name of its folder in `datasets`."""
    address: str
    """Page of its authors."""
    licence: str
    credit: str
    changes: str = ""
    """Differences between the files published and the data set made of them: licences ask for that."""
    note: str = ""
    """To know before the download."""
    sources: tuple[str, ...] = ()
    """Where the manifest's files are: addresses of a folder or of a `.tar.gz` archive. The next one is tried where one
    fails."""
    yolo_to_coco: YoloToCoco | None = None
    voc_by_flight: VocByFlight | None = None
    by_hand: ByHand | None = None

    def __post_init__(self) -> None:
        makers = [maker for maker in (self.yolo_to_coco, self.voc_by_flight, self.by_hand) if maker is not None]
        if len(makers) != 1 or bool(self.sources) is bool(self.by_hand):
            raise InputError("expected sources with yolo_to_coco or voc_by_flight, or by_hand")


def names() -> list[str]:
    """Names of the public data sets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def public_set(name: str) -> PublicSet:
    """The data set of that name; raises `InputError`, which names the closest one, if there is none."""
    if name not in names():
        close = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names())}"
        raise InputError(f"unknown data set {name}: {hint}")
    path = FOLDER / f"{name}.toml"
    return validated(read_toml(path), PublicSet, source=str(path))


def manifest(name: str) -> tuple[RemoteFile, ...]:
    """The files to download for the data set `name`."""
    path = FOLDER / f"{name}.manifest.gz"
    return parse_manifest(gzip.decompress(path.read_bytes()).decode().splitlines(), source=str(path))


def parse_manifest(lines: Iterable[str], *, source: str) -> tuple[RemoteFile, ...]:
    """Read lines `SHA-256 bytes path`.

    Raises `InputError` for any other line and for a path that leads out of the folder it is relative to.
    """
    files = []
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"([0-9a-f]{64}) (\d+) (.+)", line)
        if match is None:
            raise InputError(f"{source}, line {number}: expected `SHA-256 bytes path`, got {line[:100]!r}")
        path = PurePosixPath(match[3])
        if path.is_absolute() or ".." in path.parts or str(path) != match[3] or "\0" in match[3]:
            raise InputError(f"{source}, line {number}: the path {match[3]!r} leads out of the folder")
        files.append(RemoteFile(path=match[3], size_bytes=int(match[2]), sha256=match[1]))
    return tuple(files)


def manifest_line(file: RemoteFile) -> str:
    """The counterpart of `parse_manifest`."""
    return f"{file.sha256} {file.size_bytes} {file.path}"

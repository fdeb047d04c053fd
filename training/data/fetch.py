"""Bring a public data set to its folder: download its files, make the data set of them, put it in place.

It appears when it is whole. Downloads are kept in `.<folder>.download` beside it until then, and the next run goes on
from there. The data set's `fetched.json` lists its files: a second run checks them and downloads nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.folder_lock import locked_folder
from tinydet.edge.files.regular_file import file_sha256
from tinydet.edge.files.writing import write_json
from tinydet.training.data.download import SourceError, download, is_address, is_complete
from tinydet.training.data.public_sets import (
    PublicSet,
    RemoteFile,
    manifest,
    manifest_line,
    parse_manifest,
    public_set,
)

RECORD = "fetched.json"

Progress = Callable[[Iterator[RemoteFile], int], Iterator[RemoteFile]]

_logger = logging.getLogger(__name__)


def fetch(name: str, out: Path, *, source: str | None = None, progress: Progress | None = None) -> bool:
    """Make the public data set `name` at `out`; returns False when it was there, complete and unchanged.

    `source` takes the place of the authors' addresses. `progress` is given the files as they arrive and their number.

    Raises:
        InputError: `name` is unknown or has to be fetched by hand; `out` is something else, or damaged; another run
            fetches there; the source fails; the disk is full.
    """
    settings = public_set(name)
    maker = settings.yolo_to_coco or settings.voc_by_flight
    if maker is None:
        raise InputError(f"{name} has to be fetched by hand: `tinydet data fetch {name}` says how")
    if source is not None and not is_address(source) and not Path(source).exists():
        raise InputError(f"source {source}: expected a folder, a .tar.gz archive, or an http(s) address of one")
    out = out.resolve()  # has a name, which Path(".") lacks
    downloads = out.parent / f".{out.name}.download"
    if out.exists():
        _check_complete(name, out)
        shutil.rmtree(downloads, ignore_errors=True)  # of a run that was killed at its end
        return False
    with locked_folder(downloads, out=out):
        _download(manifest(name), settings.sources if source is None else (source,), downloads / "files", progress)
        made = downloads / "made"
        try:
            shutil.rmtree(made, ignore_errors=True)
            maker.write(downloads / "files", made)
            (made / "README.md").write_text(_readme(name, settings), encoding="utf-8")
            write_json(made / RECORD, _record(name, made))
            made.rename(out)
        except OSError as error:
            raise InputError(f"cannot write {out} ({error.strerror or error}): what was downloaded is kept") from error
        shutil.rmtree(downloads)
    return True


def _download(files: Sequence[RemoteFile], sources: Sequence[str], folder: Path, progress: Progress | None) -> None:
    """Bring what is missing from the first source that has it."""
    failures = []
    for source in sources:
        missing = [file for file in files if not is_complete(file, folder)]
        if not missing:
            return
        try:
            with closing(download(missing, source, folder)) as arriving:
                for _ in arriving if progress is None else progress(arriving, len(missing)):
                    pass
            return
        except InputError as error:
            failures.append(str(error))
            if not isinstance(error, SourceError):
                break
            _logger.info("%s", error)
    kept = sum(is_complete(file, folder) for file in files)
    raise InputError(
        f"{'; '.join(failures)}; {kept} of {len(files)} files are kept: the same command goes on from there, with "
        "--from FOLDER|URL from another source"
    )


def _record(name: str, folder: Path) -> dict[str, Any]:
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name_there, size = path.relative_to(folder).as_posix(), path.stat().st_size
        files.append(RemoteFile(path=name_there, size_bytes=size, sha256=file_sha256(path, limit_bytes=size)))
    return {"name": name, "manifest": _manifest_sha256(name), "files": [manifest_line(file) for file in files]}


def _manifest_sha256(name: str) -> str:
    return hashlib.sha256("\n".join(map(manifest_line, manifest(name))).encode()).hexdigest()


def _check_complete(name: str, out: Path) -> None:
    """Raise `InputError` unless `out` is the data set `name` as this version of tinydet makes it."""
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        kind, files = (record["name"], record["manifest"]), parse_manifest(record["files"], source=str(out / RECORD))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{out} exists and `tinydet data fetch` has not made it: choose another --out") from error
    if kind != (name, _manifest_sha256(name)):
        raise InputError(f"{out} holds {kind[0]} as another version has it: remove it, or choose another --out")
    changed = [file.path for file in files if not is_complete(file, out)]
    if changed:
        raise InputError(
            f"{out / changed[0]} was changed or removed ({len(changed)} files): remove {out} to fetch it again"
        )


def _readme(name: str, settings: PublicSet) -> str:
    """Credit and changes travel with the data, as its licence asks."""
    return (
        f"# {name}\n\n{settings.title}\n\n- From: {settings.address}\n- Licence: {settings.licence}\n"
        f"- Credit: {settings.credit}\n- Changed here: {settings.changes}\n\nMade by `tinydet data fetch {name}`.\n"
    )

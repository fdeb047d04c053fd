"""Folders that are filled under another name; what a killed run leaves of them is removed by the next one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.folder_lock import locked_folder
from tinydet.edge.files.kernel_lock import kernel_lock
from tinydet.edge.files.printable import printable
from tinydet.edge.files.writing import check_target, short_stem, temporary_name, writable_folder


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield `.<name>.tinydet.partial` beside `path` to fill; it becomes `path` when the block ends without error.

    Raises:
        InputError: `path` exists, another run makes it, or it cannot be written; nothing is left.
    """
    _check_absent(path)
    target = path.absolute()
    check_target(target)
    partial = target.with_name(f".{short_stem(target)}.tinydet.partial")
    if partial.is_symlink():
        raise InputError(f"{printable(partial)} is a link: remove it, or choose another --out folder")
    with locked_folder(partial, out=path):
        try:
            _check_absent(path)  # the run that held the lock may have made it
            for leftover in partial.iterdir():
                shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
            yield partial
            partial.rename(target)
        except OSError as error:
            raise InputError(f"cannot write {printable(path)}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder in the system's folder for temporary files; it is removed when the block ends.

    Raises:
        InputError: it cannot be made.
    """
    folder = temporary_name(writable_folder(tempfile.gettempdir()) / "tinydet")
    folder.mkdir(mode=0o700)
    try:
        with kernel_lock(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_absent(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{printable(path)} exists: choose another --out folder")

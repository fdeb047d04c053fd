"""One run at a time writes into a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.edge.files.writing import writable_folder

_held: set[int] = set()


@contextmanager
def locked_folder(path: Path | str) -> Iterator[Path]:
    """Create the folder `path` and keep other runs out of it until the block ends.

    The lock is one of the kernel's on the folder itself: it leaves no file, and ends with the process however that
    ends. File systems that lock no folders, such as some of the network, are used without.

    Raises:
        InputError: another run holds the lock, or the folder cannot be written.
    """
    folder = writable_folder(path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another run writes into {printable(folder)}: wait for its end, or choose another --out folder"
            ) from error
        except OSError:
            pass
        yield folder
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _release_in_child() -> None:
    """Close the copies that a forked process gets: a worker that outlives its run would keep the folder locked."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)

"""The kernel's lock on a folder: it leaves no file, and ends with the process however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_held: set[int] = set()


@contextmanager
def kernel_lock(folder: Path) -> Iterator[None]:
    """Hold the lock on an existing folder. File systems that lock no folders, such as some network ones, go without.

    Raises:
        BlockingIOError: another process, or another block of this one, holds it.
        OSError: the folder cannot be opened, or was removed or renamed meanwhile.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass
        if not os.path.samestat(os.fstat(descriptor), folder.stat()):
            raise FileNotFoundError(f"{folder} was replaced")
        yield
    finally:
        if descriptor in _held:  # not in a forked process
            _held.discard(descriptor)
            os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether another process, or a block of this one, holds the lock. Raises OSError for a folder that is gone."""
    try:
        with kernel_lock(folder):
            return False
    except BlockingIOError:
        return True


def _release_in_child() -> None:
    """Close the copies that a forked process gets: a worker that outlives its run would keep the folder locked."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)

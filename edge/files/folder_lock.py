"""One run at a time writes into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.kernel_lock import kernel_lock
from tinydet.edge.files.printable import printable
from tinydet.edge.files.writing import writable_folder


@contextmanager
def locked_folder(path: Path | str, *, out: Path | str | None = None) -> Iterator[Path]:
    """Create the folder `path` and keep other runs out of it until the block ends. `out` names it in errors.

    Raises:
        InputError: another run holds the lock, or the folder cannot be written.
    """
    folder = writable_folder(path)
    with ExitStack() as held:
        try:
            held.enter_context(kernel_lock(folder.resolve()))
        except (BlockingIOError, FileNotFoundError) as error:
            name = printable(folder if out is None else out)
            raise InputError(
                f"another run writes into {name}: wait for its end, or choose another --out folder"
            ) from error
        yield folder

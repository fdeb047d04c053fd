"""Standard streams of the process that may be closed, full, or read by nobody."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tinydet.edge.errors import InputError

_STDOUT, _STDERR = 1, 2


@contextmanager
def safe_streams() -> Iterator[None]:
    """Use standard streams that cannot end a run with a traceback, as long as the block lasts.

    Data that standard output does not take is an `InputError`. Messages that standard error does not take are dropped:
    a flight does not end because nobody reads its log. Closed descriptors are occupied, so that no file is opened as
    number 1 or 2, where native libraries write messages into it. Streams that the caller replaced are left alone.
    """
    kept = sys.stdout, sys.stderr
    if sys.stdin is None:
        _occupy(0, os.O_RDONLY)
    if sys.stdout is sys.__stdout__:
        if sys.stdout is None:
            _occupy(_STDOUT, os.O_RDONLY)  # writing fails, as it did
        sys.stdout = _open(_Stdout(_STDOUT, "w", closefd=False), kept[0])
    if sys.stderr is sys.__stderr__:
        if sys.stderr is None:
            _occupy(_STDERR, os.O_WRONLY)
        sys.stderr = _open(_Stream(_STDERR, "w", closefd=False), kept[1], line_buffering=True)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(InputError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = kept


class _Stream(io.FileIO):
    """Discards everything after the first failure."""

    is_lost = False

    def write(self, data: Any, /) -> int:
        """Write some of `data`; all of it counts as written when the stream is lost."""
        size = memoryview(data).nbytes
        if self.is_lost:
            return size
        try:
            while (written := super().write(data)) is None:  # full, and its reader asked not to wait
                select.select([], [self], [])
        except OSError as error:
            self.is_lost = True
            self.lose(error)
            return size
        return written

    def lose(self, error: OSError) -> None:
        """Handle the first failure: drop it."""


class _Stdout(_Stream):
    def lose(self, error: OSError) -> None:
        """Raise it."""
        raise InputError(f"cannot write to standard output ({error.strerror})") from error


def _open(raw: _Stream, kept: object, *, line_buffering: bool = False) -> io.TextIOWrapper:
    encoding = getattr(kept, "encoding", None) or "utf-8"
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, encoding, errors="backslashreplace", line_buffering=line_buffering)


def _occupy(descriptor: int, mode: int) -> None:
    """Open the null device as `descriptor`, if that is closed."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, mode)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)

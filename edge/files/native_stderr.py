"""Catch, watch or filter the lines that native libraries write to stderr."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

STDERR = 2
_T = TypeVar("_T")
#: `INFO: Created TensorFlow Lite XNNPACK delegate`, `I0000 00:00:1790000000.0 1 x.cc:1] ...`, and the line before.
_CHATTER = re.compile(rb"INFO: |I\d{4} |WARNING: All log messages before absl::InitializeLog")


@contextmanager
def caught_stderr() -> Iterator[list[bytes]]:
    """Collect the lines written to the process's stderr within the block; the list is filled at its end.

    Other threads' lines are caught too: write on what is not yours. A closed stderr stays closed.
    """
    lines: list[bytes] = []
    try:
        kept = os.dup(STDERR)
    except OSError:
        yield lines
        return
    _flush()
    with os.fdopen(os.memfd_create("stderr"), "w+b") as caught:
        os.dup2(caught.fileno(), STDERR)
        try:
            yield lines
        finally:
            _flush()
            os.dup2(kept, STDERR)
            os.close(kept)
            caught.seek(0)
            lines += caught


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


@contextmanager
def without_chatter() -> Iterator[None]:
    """Drop the lines of level INFO written to stderr within the block; all others are written at its end."""
    lines: list[bytes] = []
    try:
        with caught_stderr() as lines:
            yield
    finally:
        for line in lines:
            if not _CHATTER.match(line):
                os.write(STDERR, line)


class StderrWatch:
    """Finds messages that native functions write to stderr, while several threads run such functions at once.

    stderr goes to memory while any thread is inside. A function during which a message came is run again alone, because
    only then the message is certainly its own. Everything else is written to stderr when the last thread has left.

    Args:
        message: matches a whole message, with its line end.
        noise: matches lines to drop, with their ends.
    """

    def __init__(self, message: re.Pattern[bytes], noise: re.Pattern[bytes]) -> None:
        self._message = message
        self._noise = noise
        self._turn = threading.Lock()  # to enter, or to run alone
        self._state = threading.Condition()
        self._inside = 0
        self._catching = ExitStack()
        self._lines: list[bytes] = []

    def run(self, function: Callable[[], _T]) -> tuple[_T, list[re.Match[bytes]]]:
        """The result of `function`, which may be called twice, and its messages."""
        self._enter()
        try:
            before = _size()
            result = function()
            written = _written_since(before)
        finally:
            self._leave()
        if written == b"":
            return result, []
        with self._turn, self._state:
            self._state.wait_for(lambda: self._inside == 0)  # also lets other threads' lines out
            if written is not None and not self._message.search(written):
                return result, []
            lines: list[bytes] = []
            try:
                with caught_stderr() as lines:
                    result = function()
            finally:
                self._write_on(lines)
            return result, [*self._message.finditer(b"".join(lines))]

    def _enter(self) -> None:
        with self._turn, self._state:
            if self._inside == 0:
                self._lines = self._catching.enter_context(caught_stderr())
            self._inside += 1

    def _leave(self) -> None:
        with self._state:
            self._inside -= 1
            if self._inside == 0:
                self._catching.close()
                self._write_on(self._lines)
                self._state.notify_all()

    def _write_on(self, lines: list[bytes]) -> None:
        others = self._noise.sub(b"", self._message.sub(b"", b"".join(lines)))
        if others:
            os.write(STDERR, others)


def _size() -> int:
    """Bytes in the memory that stderr goes to; 0 if stderr is closed."""
    try:
        return os.fstat(STDERR).st_size
    except OSError:
        return 0


def _written_since(before: int) -> bytes | None:
    """Bytes written after the first `before`; None if another thread redirected stderr meanwhile."""
    count = _size() - before
    try:
        return os.pread(STDERR, count, before) if count else b""
    except (OSError, ValueError):  # not that memory any more; a negative count
        return None

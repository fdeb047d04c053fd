"""Catch or filter the lines that native libraries write to stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
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

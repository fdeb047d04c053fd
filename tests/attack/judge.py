"""Runs one command line in a folder of its own and judges what came of it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.attack.commands import Row

WRONG_INPUT = 2
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xed[\xa0-\xbf]|\x1b(?!\[[0-9;?]*[A-Za-z])")
_ESCAPE = re.compile(rb"\x1b\[31m")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bad input for one command."""

    row: Row
    file: str
    """Of the good inputs, that is replaced; empty: only the arguments are bad."""
    kind: str
    name: str
    write: Callable[[Path], object] | None
    arguments: tuple[str, ...] = ()
    """Added to the row's line."""
    must_refuse: bool = True

    def __str__(self) -> str:
        what = self.file or " ".join(self.arguments)[:60]
        return f"{self.row.command} | {self.row.line[:60]} | {what} | {self.kind} | {self.name[:80]}"


class _TimeoutError(BaseException):
    """Not an Exception: no command may catch it."""


def judge(case: Case, good: Path, folder: Path) -> tuple[list[str], str]:
    """The wrong answers (none: it is right), and what the command said. `folder` is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    work.mkdir(parents=True)
    for name in case.row.needs:
        _take(good / name, work / name, leave_out=good / case.file if case.write is not None else None)
    if case.write is not None:
        case.write(work / case.file)
    before = _state(folder)
    seen = _run(case, work)
    after = _state(folder)
    return list(_wrong(case, seen, before, after, work)), seen.text


@dataclass(frozen=True, kw_only=True)
class _Seen:
    code: int | None
    text: str
    raw: bytes
    traceback: str
    seconds: float


def _run(case: Case, work: Path) -> _Seen:
    from tinydet.edge.commands.cli import main

    def expire(*_: object) -> None:
        raise _TimeoutError

    code, trace = None, ""
    start = time.monotonic()
    os.chdir(work)
    signal.signal(signal.SIGALRM, expire)
    with tempfile.TemporaryFile() as output:
        with _into(output.fileno()):
            signal.setitimer(signal.ITIMER_REAL, case.row.limit_s)
            try:
                code = main([*case.row.line.split(), *case.arguments])
            except _TimeoutError:
                trace = "timeout"
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException as error:  # noqa: BLE001 (that is what is looked for)
                trace = "".join(traceback.format_exception(error)[-3:])
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        output.seek(0)
        raw = output.read()
    os.chdir("/")
    return _Seen(
        code=code, text=raw.decode(errors="replace"), raw=raw, traceback=trace, seconds=time.monotonic() - start
    )


@contextmanager
def _into(descriptor: int) -> Iterator[None]:
    """Standard output and error go to `descriptor`, of native libraries too."""
    kept = [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError, io.UnsupportedOperation):
                stream.flush()
        for number, old in enumerate(kept, start=1):
            os.dup2(old, number)
            os.close(old)


def _wrong(case: Case, seen: _Seen, before: dict[str, object], after: dict[str, object], work: Path) -> Iterator[str]:
    if seen.traceback == "timeout":
        yield "hang"
        return
    if seen.traceback or "Traceback (most recent call last)" in seen.text:
        yield "traceback"
    elif seen.code == WRONG_INPUT:
        lines = [line for line in seen.text.splitlines() if line.startswith("error:")]
        if len(lines) != 1 and not (case.row.goes_on and lines):
            yield f"{len(lines)} error lines"
    elif seen.code not in case.row.codes:
        yield f"exit code {seen.code}"
    elif case.must_refuse and not (case.row.finds and seen.code == 1):
        yield "accepted"
    if _CONTROL.search(seen.raw) or _ESCAPE.search(seen.raw.replace(b"\x1b[31merror:\x1b[0m", b"")):
        yield "control characters shown"
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    asked = ("work/out", "work/run", *(f"work/{value}" for value in case.arguments[1:] if value not in ("", "-")))
    if any(not name.startswith(asked) and not any(place.startswith(f"{name}/") for place in asked) for name in changed):
        yield "written outside --out"
    refused = seen.code not in case.row.codes
    left = [name for name in changed if name.startswith("work/out/") and name in after]
    files = [name for name in left if stat.S_ISREG(os.lstat(work.parent / name).st_mode)]
    if any(".partial" in name for name in left):
        yield "leftover"
    if refused and files and not (case.row.goes_on or case.file == ""):
        yield "written although refused"
    for name in files:
        if name.endswith(".json"):
            try:
                json.loads((work.parent / name).read_bytes(), parse_constant=_refuse)
            except (ValueError, RecursionError):
                yield "broken JSON written"
    if any((work.parent / name).lstat().st_nlink > 1 for name in files):
        yield "linked into --out"


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _take(source: Path, target: Path, *, leave_out: Path | None) -> None:
    """Copy, so that a link made by a command is seen and nothing is shared."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        for path in source.iterdir():
            _take(path, target / path.name, leave_out=leave_out)
    elif source != leave_out:
        shutil.copy(source, target)


def _state(folder: Path) -> dict[str, object]:
    """Kind, size and time of everything below."""
    found: dict[str, object] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)  # noqa: PTH118 (thousands of times)
            status = os.lstat(path)
            time_ns = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
            found[os.path.relpath(path, folder)] = (
                stat.S_IFMT(status.st_mode),
                status.st_size * bool(time_ns),
                time_ns,
            )
    return found

"""Download the files of a manifest, each checked against its size and SHA-256.

A source is a folder or an http(s) address below which the manifest's paths lie, or a `.tar.gz` archive of such a folder
(file or address).

- Files one by one, over a few connections: nothing is read in vain, and `Range` continues a file that was cut. The
  better way where a server takes that many requests.
- An archive is one request. GitHub limits the rate at which programs may read raw files (HTTP 429,
  https://github.com/algolia/npm-search/issues/993), so that thousands of them may never arrive. GitHub's archives are
  not the same bytes each time and know no `Range`: so the members are checked, reading ends at the last one needed,
  and after a break the archive is read from its beginning, past the members that are there already.
"""

from __future__ import annotations

import tarfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote

from tinydet.edge.errors import InputError
from tinydet.edge.files.regular_file import file_sha256
from tinydet.training.data.public_sets import RemoteFile

CONNECTIONS = 4
CHUNK_BYTES = 1 << 16
TIMEOUT_S = 30.0
"""A connection that is silent for so long counts as broken."""
RETRY_WAITS_S = (0.5, 1.0, 2.0)
"""Before the second, third and fourth try of a broken download."""
RETRIED_STATUSES = (408, 429, 500, 502, 503, 504)
"""HTTP statuses that may pass."""


class SourceError(InputError):
    """A source is out of reach, lacks a file or has another one in its place."""


class _BrokenError(Exception):
    """The connection broke: another try may succeed."""


def is_address(source: str) -> bool:
    """Whether `source` is read over the network."""
    return source.startswith(("http://", "https://"))


def is_complete(file: RemoteFile, folder: Path) -> bool:
    """Whether `folder` holds the file, with the right size and SHA-256."""
    path = folder / file.path
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    return file_sha256(path, limit_bytes=file.size_bytes) == file.sha256


def download(files: Sequence[RemoteFile], source: str, folder: Path) -> Generator[RemoteFile, None, None]:
    """Bring `files` from `source` into `folder` and yield each one when it is complete.

    A file in progress is named `<path>.part` and continued by the next call.

    Raises:
        SourceError: `source` is out of reach after `RETRY_WAITS_S`, lacks a file or has another one in its place.
        InputError: a file cannot be written; parts are kept.
    """
    if source.endswith(".tar.gz"):
        yield from _from_archive(files, source, folder)
        return
    stopped = threading.Event()

    def bring(file: RemoteFile) -> RemoteFile:
        if not stopped.is_set():
            _bring(file, source, folder, stopped)
        return file

    pool = ThreadPool(CONNECTIONS)  # its threads are daemons: Ctrl-C does not wait for a silent server
    try:
        yield from pool.imap_unordered(bring, files)
    except InputError:
        stopped.set()
        pool.close()
        pool.join()  # a part has one writer, and the next source may continue it
        raise
    finally:
        stopped.set()
        pool.terminate()


def _bring(file: RemoteFile, source: str, folder: Path, stopped: threading.Event) -> None:
    location = f"{source.rstrip('/')}/{quote(file.path) if is_address(source) else file.path}"
    part = _part(file, folder)
    for wait_s in (*RETRY_WAITS_S, None):
        try:
            _try(file, location, part, stopped)
            return
        except _BrokenError as error:
            if wait_s is None:
                raise SourceError(f"cannot download {location} ({error})") from error
            if stopped.wait(wait_s):
                return


def _try(file: RemoteFile, location: str, part: Path, stopped: threading.Event) -> None:
    kept = part.stat().st_size if part.is_file() else 0
    with _open(location, kept if kept < file.size_bytes else 0) as body:
        if body.total_bytes not in (None, file.size_bytes):
            raise SourceError(f"{location} has {body.total_bytes} bytes where the manifest has {file.size_bytes}")
        with _writing(part), part.open("r+b" if body.start else "wb") as out:
            out.seek(body.start)
            out.truncate()
            left = file.size_bytes - body.start
            while chunk := body.read(min(CHUNK_BYTES, left + 1)):
                if stopped.is_set():
                    return
                left -= len(chunk)
                if left < 0:
                    raise SourceError(f"{location} has more than the {file.size_bytes} bytes of the manifest")
                out.write(chunk)
    if left:
        raise _BrokenError(f"it ended after {file.size_bytes - left} of {file.size_bytes} bytes")
    _accept(file, part, location, resumed=body.start > 0)


def _accept(file: RemoteFile, part: Path, location: str, *, resumed: bool) -> None:
    """Give the part its name if it is the right file, else remove it."""
    with _writing(part):
        sha256 = file_sha256(part, limit_bytes=file.size_bytes)
        if sha256 == file.sha256:
            part.replace(part.with_name(part.name.removesuffix(".part")))
            return
        part.unlink()
    if resumed:
        raise _BrokenError("its end does not fit the part kept from before")
    raise SourceError(f"{location} is another file: SHA-256 {sha256[:12]}..., in the manifest {file.sha256[:12]}...")


def _from_archive(files: Sequence[RemoteFile], source: str, folder: Path) -> Iterator[RemoteFile]:
    wanted = {file.path: file for file in files}
    for wait_s in (*RETRY_WAITS_S, None):
        try:
            for file in _members(wanted, source, folder):
                del wanted[file.path]
                yield file
                if not wanted:
                    return
        except _BrokenError as error:
            if wait_s is None:
                raise SourceError(f"cannot download {source} ({error})") from error
            time.sleep(wait_s)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise SourceError(f"{source} is no .tar.gz archive, or a damaged one ({error})") from error
        else:
            raise SourceError(f"{source} lacks {next(iter(wanted))} ({len(wanted)} of {len(files)} files missing)")


def _members(wanted: dict[str, RemoteFile], source: str, folder: Path) -> Iterator[RemoteFile]:
    """Write the wanted members as they come; the archive's own top folder is left off their names."""
    with (
        _open(source, 0) as body,
        tarfile.open(fileobj=body, mode="r|gz") as archive,  # type: ignore[call-overload]  # it only reads
    ):
        for member in archive:
            file = wanted.get(member.name.partition("/")[2])
            content = archive.extractfile(member) if file is not None and member.isfile() else None
            if file is None or content is None:
                continue
            location = f"{source}: {member.name}"
            if member.size != file.size_bytes:
                raise SourceError(f"{location} has {member.size} bytes where the manifest has {file.size_bytes}")
            part, data = _part(file, folder), content.read()
            with _writing(part):
                part.write_bytes(data)
            _accept(file, part, location, resumed=False)
            yield file


def _part(file: RemoteFile, folder: Path) -> Path:
    part = folder / f"{file.path}.part"
    with _writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    return part


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Errors of the local disk; those of a source are `_BrokenError` by then."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror or error})") from error


class _Body:
    """Bytes of a source, from `start` on; `total_bytes` is the whole file's size, None where it is not announced."""

    def __init__(self, stream: IO[bytes], *, start: int, total_bytes: int | None) -> None:
        self.start, self.total_bytes = start, total_bytes
        self._stream = stream
        self._read_bytes = start

    def __enter__(self) -> _Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, none at the end. Raises `_BrokenError` when the source ends before its announced end."""
        try:
            chunk = self._stream.read(size)
        except (OSError, HTTPException) as error:
            raise _BrokenError(_reason(error)) from error
        self._read_bytes += len(chunk)
        if not chunk and self.total_bytes is not None and self._read_bytes < self.total_bytes:
            raise _BrokenError(f"it ended after {self._read_bytes} of {self.total_bytes} bytes")
        return chunk


def _open(location: str, start: int) -> _Body:
    """Open a file or address at byte `start`, or at its beginning where a server knows no `Range`."""
    if not is_address(location):
        try:
            stream = Path(location).open("rb")  # noqa: SIM115  # closed by _Body
        except OSError as error:
            raise SourceError(f"cannot read {location} ({error.strerror})") from error
        stream.seek(start)
        return _Body(stream, start=start, total_bytes=Path(location).stat().st_size)
    headers = {"User-Agent": "tinydet"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(location, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the file there is shorter than the part
            return _open(location, 0)
        answer = f"HTTP {error.code} {error.reason}"
        if error.code in RETRIED_STATUSES:
            raise _BrokenError(answer) from error
        raise SourceError(f"{location}: {answer}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise _BrokenError(_reason(error)) from error
    if response.status == 206 and start:
        begin, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if begin.partition("-")[0] == str(start):
            return _Body(response, start=start, total_bytes=int(total) if total.isdigit() else None)
        response.close()
        return _open(location, 0)
    length = response.headers.get("Content-Length", "")
    return _Body(response, start=0, total_bytes=int(length) if length.isdigit() else None)


def _reason(error: Exception) -> str:
    """In a few words."""
    cause = error.reason if isinstance(error, URLError) else error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)

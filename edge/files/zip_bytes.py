"""One entry of a ZIP archive from outside, such as the one behind a `.tflite` model: bounded before it is unpacked."""

from __future__ import annotations

from typing import NamedTuple

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown
from tinydet.edge.files.regular_file import MIB

ENTRY_BYTES = MIB
"""Largest entry, unpacked."""
DIRECTORY_BYTES = 1 << 16
"""Largest table of contents."""

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"  # the records that end an archive (APPNOTE.TXT, 4.3.15 and 4.3.16)
_LONGEST_END = 22 + (1 << 16)


class Entry(NamedTuple):
    """An unpacked entry."""

    content: bytes
    offset: int
    """Where its header begins in the file: in front of the first one stands what the archive was appended to."""
    comment: bytes


def read_entry(archive: bytes, name: str, *, source: str, fix: str = "") -> Entry:
    """Unpack the entry `name` of `archive`: the bytes of a file that ends with a ZIP archive.

    Args:
        archive: the whole file.
        name: of the entry.
        source: begins error messages.
        fix: what to do, at the end of error messages.

    Raises:
        InputError: no archive is there, or it is damaged; the entry is missing, twice there, encrypted, packed by
            another method than deflate, or larger than `ENTRY_BYTES`.
    """
    import io
    import zlib
    from struct import error as StructError
    from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

    then = f": {fix}" if fix else ""
    end = archive.rfind(_END, max(0, len(archive) - _LONGEST_END))
    directory = int.from_bytes(archive[end + 12 : end + 16], "little")
    if end < 0 or directory > DIRECTORY_BYTES or archive[max(0, end - 20) : end].startswith(_END_64):
        raise InputError(f"{source}: no small ZIP archive at its end, or it is cut short{then}")
    try:
        with ZipFile(io.BytesIO(archive)) as file:
            found = [info for info in file.infolist() if info.filename == name]
            if len(found) != 1:
                raise InputError(f"{source}: expected one entry {shown(name)}, got {len(found)}{then}")
            (info,) = found
            if info.flag_bits & 0x1 or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise InputError(f"{source}: {name} is encrypted or packed by an unknown method{then}")
            with file.open(info) as opened:
                content = opened.read(ENTRY_BYTES + 1)
            if len(content) > ENTRY_BYTES:
                raise InputError(f"{source}: expected {name} of at most {ENTRY_BYTES} bytes, got more{then}")
            return Entry(content=content, offset=info.header_offset, comment=info.comment)
    except InputError:
        raise
    # zipfile raises whatever it stumbles over: a field that is no UTF-8, an offset in front of the file, a cut entry.
    except (
        BadZipFile,
        zlib.error,
        StructError,
        EOFError,
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise InputError(f"{source}: no ZIP archive at its end, or damaged ({shown(str(error))}){then}") from error

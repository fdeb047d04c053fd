"""Text files from outside: UTF-8, or UTF-16 and UTF-32 where a byte-order mark says so; lines and CSV tables."""

from __future__ import annotations

import codecs
from pathlib import Path

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.regular_file import MIB, read_bytes

TEXT_BYTES = 64 * MIB
"""Largest text file; the labels of one image have some KB, a list of a million images 50 MB."""
LONGEST_LINE = 1 << 20
"""Characters; a polygon of 10 000 corners has 200 000."""

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(content: bytes, source: str) -> str:
    """The text of `content`: UTF-8, or as its byte-order mark says, which is left out.

    Raises:
        InputError: it is not; the message begins with `source` and names the first byte that does not fit.
    """
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    try:
        return content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        place = f"byte {error.start + len(mark)} is not {encoding.upper()}"
        raise InputError(f"{source}: not a text file ({place}): save it as UTF-8") from error


def read_text(path: Path | str, *, what: str = "file", limit_bytes: int = TEXT_BYTES, fix: str = "") -> str:
    """Read a text file. Arguments and errors: `open_file` in `regular_file`, and `decode`."""
    return decode(read_bytes(path, what=what, limit_bytes=limit_bytes, fix=fix), printable(path))


def read_lines(path: Path | str, *, what: str = "labels", limit_bytes: int = TEXT_BYTES) -> list[str]:
    """Read the lines of a text file that hold something, without their ends (LF or CRLF).

    Raises:
        InputError: as `read_text`; a line holds a NUL byte or more than `LONGEST_LINE` characters.
    """
    text = read_text(path, what=what, limit_bytes=limit_bytes)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # splitlines would split at U+2028 too
    if "\0" in text or max(map(len, lines)) > LONGEST_LINE:
        for number, line in enumerate(lines, start=1):
            if "\0" in line or len(line) > LONGEST_LINE:
                problem = "holds a NUL byte" if "\0" in line else f"is longer than {LONGEST_LINE} characters"
                raise InputError(f"{printable(path)}: line {number} {problem}: not a file of {what}, or damaged")
    return [line for line in lines if line.strip()]


def read_table(path: Path | str, *, what: str = "table", columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read a CSV file with a header line: for each row the text by column.

    Raises:
        InputError: as `read_lines`; a column of `columns` is missing, repeated, or a row has more or fewer cells.
    """
    import csv

    try:
        rows = list(csv.reader(read_lines(path, what=what)))
    except csv.Error as error:
        raise InputError(f"{printable(path)}: not a CSV table: {error}") from error
    header = rows.pop(0) if rows else []
    missing = [column for column in columns if column not in header]
    if missing or len(set(header)) < len(header):
        problem = f"the column {missing[0]} is missing" if missing else "two columns have the same name"
        raise InputError(f"{printable(path)}: {problem}, the header is {shown(header)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{printable(path)}: row {number} has {len(row)} cells, expected {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in rows]

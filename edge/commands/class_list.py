"""Class names in one text, as `--classes` takes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable, shown


def class_list(text: str) -> tuple[str, ...]:
    """Split `car,person` at its commas, as a row of CSV: a name with a comma or a quote stands in double quotes.

    Raises:
        InputError: a name is empty, or a quote is not closed; the message shows how to quote.
    """
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error:
        rows = []
    names = tuple(name.strip() for name in rows[0]) if len(rows) == 1 else ()
    if not names or "" in names:
        raise InputError(
            f"--classes {shown(text)}: expected names with commas between them; a name with a comma or a quote stands "
            f"""in double quotes, as in {quoted(("car", 'van, "small"'))}"""
        )
    return names


def quoted(names: Iterable[str]) -> str:
    """`names` as `class_list` reads them: those with commas or quotes in double quotes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return printable(line.getvalue())

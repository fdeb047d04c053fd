"""TOML from outside: its size, depth and digits are bounded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import is_deeper
from tinydet.edge.files.printable import printable
from tinydet.edge.files.text_file import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOML_BYTES = 1 << 16
"""Largest TOML file; a recipe has 3 KB."""
MOST_DOTS = 1000
"""In one line. The parser takes time and memory by the square of a key's parts: a MB of `a.a.a.` takes 20 GB."""
DEEPEST = 16
"""Levels of tables and lists in each other; a recipe has 3."""


class NotTomlError(InputError):
    """The text is no TOML."""


def read_toml(path: Path | str, *, what: str = "settings") -> dict[str, Any]:
    """Read a TOML file. Arguments and errors: `open_file` in `regular_file`, and `parse_toml`."""
    return parse_toml(read_text(path, what=what, limit_bytes=TOML_BYTES), source=printable(path))


def parse_toml(text: str, *, source: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises:
        InputError: it is no TOML (`NotTomlError`), is nested deeper than `DEEPEST`, has a line of more than `MOST_DOTS`
            dots, or holds a number of more than 4300 digits; the message begins with `source`.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            raise InputError(f"{source}: line {number} has more than {MOST_DOTS} dots: break it into several lines")
    try:
        tables: dict[str, Any] = tomllib.loads(text)
        too_deep = is_deeper(tables, DEEPEST)
    except tomllib.TOMLDecodeError as error:
        raise NotTomlError(f"{source}: not valid TOML: {printable(error)}") from error
    except RecursionError:
        too_deep = True
    except ValueError as error:  # Python's limit for turning text into a number
        raise InputError(f"{source}: a number has more than 4300 digits") from error
    if too_deep:
        raise InputError(f"{source}: expected at most {DEEPEST} levels of tables and lists, got more")
    return tables

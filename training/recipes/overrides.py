"""`--set table.field=value`: fields of a recipe set on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown
from tinydet.edge.files.toml_file import DEEPEST, NotTomlError, parse_toml, read_toml


def read_overridden(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Read a TOML file and set `overrides` (`table.field=value`) in its tables.

    Raises:
        InputError: the file cannot be read, or an override is malformed.
    """
    tables = read_toml(path, what="recipe")
    for override in overrides:
        _override(tables, override)
    return tables


def _override(values: dict[str, Any], override: str) -> None:
    """Set `table.field=value`; the value is TOML, or text where it is not TOML (`--set model.size=s`)."""
    path, separator, text = override.partition("=")
    names = [name.strip() for name in path.split(".")]
    if not separator or not all(names) or len(names) > DEEPEST:
        raise InputError(f"--set expects table.field=value, got {shown(override)}")
    *tables, field = names
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise InputError(f"--set {shown(override)}: {table} is not a table")
    try:
        content = parse_toml(f"value = {text}", source=f"--set {path.strip()}")
    except NotTomlError:
        content = {"value": text}
    if content.keys() != {"value"}:  # a line break in the value begins another field
        content = {"value": text}
    values[field] = content["value"]

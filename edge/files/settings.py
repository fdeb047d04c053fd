"""Reading TOML files into frozen dataclasses: every field is type-checked, every unknown one refused by name."""

from __future__ import annotations

import difflib
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from tinydet.edge.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def read_toml(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read the tables of a TOML file and apply `overrides` (`table.field=value`).

    Raises `InputError` when the file is missing or not TOML, or an override is malformed.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    for override in overrides:
        apply_override(tables, override)
    return tables


def parse_settings(cls: type[T], values: Mapping[str, Any], *, source: str, prefix: str = "") -> T:
    """`values` as a `cls`, a dataclass whose fields are str, int, float, bool, `tuple[X, ...]`, `dict[str, X]`, such
    dataclasses, or one of them or None.

    A missing, unknown or mistyped field raises `InputError` that starts with `source`; an int is taken for a float.
    """
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in fields(cast(Any, cls))}
    for name in values:
        if name not in known:
            raise InputError(f"{source}: unknown field {prefix}{name}{_did_you_mean(name, list(known), prefix)}")
    parsed: dict[str, Any] = {}
    for name, field in known.items():
        if name in values:
            parsed[name] = _parse(hints[name], values[name], source=source, name=prefix + name)
        elif is_dataclass(hints[name]):
            parsed[name] = parse_settings(cast(type, hints[name]), {}, source=source, prefix=f"{prefix}{name}.")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{source}: the field {prefix}{name} is missing")
    try:
        return cls(**parsed)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def apply_override(values: dict[str, Any], override: str) -> None:
    """Put `table.field=value` into `values`; the value is TOML, or text where it is not TOML (`--set model.size=s`)."""
    path, separator, text = override.partition("=")
    if not separator or not path.strip():
        raise InputError(f"--set expects table.field=value, got {override!r}")
    *tables, name = path.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise InputError(f"--set {override}: {table} is not a table")
    try:
        values[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[name] = text


def _parse(hint: Any, value: Any, *, source: str, name: str) -> Any:
    if type(None) in typing.get_args(hint):  # TOML has no null: what is given is never None
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not type(None))
    if is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InputError(f"{source}: {name} is a table of settings, got {value!r}")
        return parse_settings(cast(type, hint), value, source=source, prefix=f"{name}.")
    if typing.get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{source}: {name} is a table, got {value!r}")
        item_hint = typing.get_args(hint)[1]
        return {key: _parse(item_hint, item, source=source, name=f"{name}.{key}") for key, item in value.items()}
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{source}: {name} is a list, got {value!r}")
        arguments = typing.get_args(hint)
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise InputError(f"{source}: {name} takes {len(arguments)} values, got {len(value)}")
        item_hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(
            _parse(item_hint, item, source=source, name=name) for item_hint, item in zip(item_hints, value, strict=True)
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{source}: {name} expects {hint.__name__}, got {value!r}")
    return value


def _did_you_mean(name: str, known: list[str], prefix: str) -> str:
    closest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {prefix}{closest[0]}?" if closest else f"; known are {', '.join(known)}"

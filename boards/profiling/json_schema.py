"""Validates JSON by a schema, with the keywords of JSON Schema (draft 2020-12) that our schemas use.

Beyond the schema, every number is at most `LARGEST_NUMBER`, and every text can be printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import is_printable, shown

LARGEST_NUMBER = 1e15
"""Bytes of a petabyte, and far more milliseconds, frames or watts than anything measured has."""

KEYWORDS = frozenset(
    {"$schema", "$id", "title", "description", "$defs", "$ref", "type", "const"}
    | {"minimum", "exclusiveMinimum", "maximum", "minLength", "minItems", "maxItems"}
    | {"required", "properties", "additionalProperties", "items"}
)

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def validate(value: Any, schema: Mapping[str, Any], *, source: str) -> None:
    """Raise `InputError`, starting with `source`, that names the first place where `value` violates `schema`."""
    _validate(value, schema, schema, source, "$")


def _validate(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], source: str, at: str) -> None:
    unknown = set(schema) - KEYWORDS
    assert not unknown, f"unsupported schema keywords: {unknown}"
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        raise InputError(f"{source}: {at} is {shown(value)}, expected {' or '.join(kinds)}")
    if "const" in schema and value != schema["const"]:
        raise InputError(f"{source}: {at} is {shown(value)}, expected {schema['const']!r}")
    if _is(value, "number"):
        _check_range(value, schema, f"{source}: {at} is {value:g}")
    if isinstance(value, str) and not (is_printable(value) and len(value) >= schema.get("minLength", 0)):
        raise InputError(f"{source}: {at} is {shown(value)}, expected printable text")
    if isinstance(value, dict):
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            raise InputError(f"{source}: {at}.{missing[0]} is missing")
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, item in value.items():
            if not is_printable(name):
                raise InputError(f"{source}: {at} has the key {shown(name)}, expected printable text")
            kind = properties.get(name, others)
            if kind is False:
                raise InputError(f"{source}: {at}.{name} is unknown")
            _validate(item, {} if kind is True else kind, root, source, f"{at}.{name}")
    if isinstance(value, list):
        low, high = schema.get("minItems", 0), schema.get("maxItems", len(value))
        if not low <= len(value) <= high:
            raise InputError(f"{source}: {at} has {len(value)} items, expected {low} or more")
        for index, item in enumerate(value):
            _validate(item, schema.get("items", {}), root, source, f"{at}[{index}]")


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _check_range(value: float, schema: Mapping[str, Any], problem: str) -> None:
    largest = schema.get("maximum", LARGEST_NUMBER)
    if not abs(value) <= largest:
        raise InputError(f"{problem}, expected at most {largest:g}")
    if value < schema.get("minimum", value):
        raise InputError(f"{problem}, expected {schema['minimum']:g} or more")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        raise InputError(f"{problem}, expected more than {schema['exclusiveMinimum']:g}")

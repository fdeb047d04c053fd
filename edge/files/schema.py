"""Parsed JSON, TOML and YAML as typed values: every field checked, every unknown name refused with the nearest one.

Why no library does it (measured here on Python 3.11 with a small model of each; sizes with all that they need):

| library | installed | import and first model | armv7l wheel | of what we need, lacks |
|---|---|---|---|---|
| this file | 0 | 0 ms over `dataclasses`, `typing`, `difflib`, which are loaded anyway | - | - |
| msgspec 0.22 | 0.7 MiB | 15 ms | no | refusing NaN and huge whole numbers (`convert`), unknown names of dataclasses |
| fastjsonschema 2.22 | 0.3 MiB | 14 ms | pure Python | types in code: a second description of every dataclass; NaN |
| cattrs 26.2 | 1.9 MiB | 33 ms | pure Python | strictness ("3" becomes 3); one error, not a group of them |
| jsonschema 4.26 | 3.9 MiB | 57 ms | yes | as fastjsonschema |
| pydantic 2.14 | 10.7 MiB | 85 ms | yes | strictness unless set; one line |

None names the nearest known field, and each would need most of what stands here around it. msgspec comes nearest; it is
the one to take if a profile of a start-up ever shows this file.
"""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Protocol, TypeVar

from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import LARGEST_WHOLE, Range
from tinydet.edge.files.printable import is_printable, printable, shown

__all__ = ["Length", "Matches", "Name", "PathText", "Range", "Sha256", "validated"]

T = TypeVar("T")

LONGEST_NAME = 200


class Bound(Protocol):
    """Limit on a value, given by `Annotated`, as `Range` is. `str(bound)` completes `expected ...`."""

    def holds(self, value: Any) -> bool:
        """Whether `value`, of the right type, is allowed."""


@dataclass(frozen=True)
class Length:
    """From `low` to `high` characters, items or keys."""

    low: int = 0
    high: int = LARGEST_WHOLE

    def holds(self, value: Any) -> bool:
        return self.low <= len(value) <= self.high

    def __str__(self) -> str:
        return f"{Range(self.low, self.high if self.high < LARGEST_WHOLE else math.inf)} of them"


@dataclass(frozen=True)
class Matches:
    """Text that a regular expression matches as a whole; `text` describes it."""

    pattern: str
    text: str

    def holds(self, value: Any) -> bool:
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Printable:
    longest: int

    def holds(self, value: Any) -> bool:
        return 0 < len(value) <= self.longest and is_printable(value)

    def __str__(self) -> str:
        return f"1 to {self.longest} printable characters"


Name = Annotated[str, _Printable(LONGEST_NAME)]
"""A name that people read: of a class, a device, a runtime."""
PathText = Annotated[str, _Printable(4096)]
"""The path of a file or folder."""
Sha256 = Annotated[str, Matches("[0-9a-f]{64}", "64 hexadecimal digits")]


def validated(content: Any, schema: type[T], *, source: str, fix: str = "") -> T:
    """`content`, which a parser gave, as a `schema`.

    Args:
        content: dicts, lists, str, int, float, bool, None.
        schema: a dataclass, a `TypedDict` (the result is a dict), or any other type that a field may have: str, int,
            float, bool, None, `Any`, `Literal`, unions, `tuple[X, ...]`, `tuple[X, Y]`, `list[X]`, `dict[str, X]`,
            `Mapping[str, X]`, `Annotated[X, bound, ...]`, and other dataclasses and TypedDicts.
        source: begins error messages: the file.
        fix: what to do, at the end of error messages.

    A whole number is taken for a float, nothing else is converted but lists to tuples. Everywhere in `content` floats
    are finite, whole numbers have at most 64 bits, and texts hold no lone surrogates. Where the field of a dataclass is
    missing, it is built from its defaults.

    Raises:
        InputError: a field is missing, unknown, or not of its type or bounds; or the dataclass itself refuses it.
    """
    try:
        result: T = _value(schema, content, "")
    except InputError as error:
        raise InputError(f"{source}: {error}{f': {fix}' if fix else ''}") from error
    return result


def _value(hint: Any, value: Any, at: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        found = _value(arguments[0], value, at)
        for bound in arguments[1:]:
            if found is not None and not bound.holds(found):
                raise _wrong(at, str(bound), value)
        return found
    if origin in (typing.Union, types.UnionType):
        return _union(arguments, value, at)
    if origin is Literal:
        if value not in arguments or type(value) not in map(type, arguments):
            raise _wrong(at, " or ".join(map(str, arguments)), value)
        return value
    if origin in (tuple, list):
        return _sequence(origin, arguments, value, at)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise _wrong(at, "a table", value)
        return {_text(key, at): _value(arguments[1], item, _below(at, key)) for key, item in value.items()}
    if is_dataclass(hint) or typing.is_typeddict(hint):
        return _table(hint, value, at)
    return _CHECKS[hint](value, at)


def _table(schema: Any, value: Any, at: str) -> Any:
    """A dataclass or a TypedDict."""
    if not isinstance(value, Mapping):
        raise _wrong(at, "a table", value)
    hints, required = _fields(schema)
    for name in value:
        if name not in hints:
            raise InputError(f"unknown field {_below(at, name)}{_did_you_mean(name, list(hints), at)}")
    found = {}
    for name, hint in hints.items():
        if name in value:
            found[name] = _value(hint, value[name], _below(at, name))
        elif name in required and is_dataclass(hint):
            found[name] = _table(hint, {}, _below(at, name))
        elif name in required:
            raise InputError(f"the field {_below(at, name)} is missing")
    return schema(**found)


@cache
def _fields(schema: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Name -> type, and the names without a default."""
    hints = typing.get_type_hints(schema, include_extras=True)
    if not is_dataclass(schema):
        return hints, frozenset(schema.__required_keys__)
    parts = [field for field in fields(schema) if field.init]
    needed = [part.name for part in parts if part.default is MISSING and part.default_factory is MISSING]
    return {part.name: hints[part.name] for part in parts}, frozenset(needed)


def _sequence(kind: type, arguments: tuple[Any, ...], value: Any, at: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise _wrong(at, "a list", value)
    if kind is tuple and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise _wrong(at, f"{len(arguments)} values", value)
        pairs = enumerate(zip(arguments, value, strict=True))
        return tuple(_value(hint, item, f"{at}[{index}]") for index, (hint, item) in pairs)
    if arguments[0] is float and set(map(type, value)) == {float} and all(map(math.isfinite, value)):
        return kind(value)  # a profile has a hundred thousand of them
    return kind(_value(arguments[0], item, f"{at}[{index}]") for index, item in enumerate(value))


def _union(kinds: tuple[Any, ...], value: Any, at: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    if len(others) == 1:
        return _value(others[0], value, at)
    for kind in others:
        try:
            return _value(kind, value, at)
        except InputError:
            continue
    raise _wrong(at, " or ".join(getattr(kind, "__name__", str(kind)) for kind in others), value)


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise _wrong(at, "text", value)
    if not value.isprintable() and re.search("[\ud800-\udfff]", value):
        raise _wrong(at, "text without lone surrogates", value)
    return value


def _whole(value: Any, at: str) -> int:
    if type(value) is not int:
        raise _wrong(at, "a whole number", value)
    if abs(value) > LARGEST_WHOLE:
        raise _wrong(at, "a whole number of 64 bits", value)
    return value


def _number(value: Any, at: str) -> float:
    if type(value) not in (float, int):
        raise _wrong(at, "a number", value)
    if not abs(value) < math.inf or (type(value) is int and abs(value) > LARGEST_WHOLE):
        raise _wrong(at, "a finite number", value)
    return float(value)


def _flag(value: Any, at: str) -> bool:
    if type(value) is not bool:
        raise _wrong(at, "true or false", value)
    return value


def _nothing(value: Any, at: str) -> None:
    if value is not None:
        raise _wrong(at, "null", value)


def _anything(value: Any, at: str) -> Any:
    if isinstance(value, Mapping):
        return {_text(key, at): _anything(item, _below(at, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_anything(item, f"{at}[{index}]") for index, item in enumerate(value)]
    check = {str: _text, float: _number, int: _whole, bool: _flag, type(None): _nothing}.get(type(value))
    if check is None:
        raise _wrong(at, "text, a number, a list or a table", value)
    return check(value, at)


_CHECKS: dict[Any, Callable[[Any, str], Any]] = {
    str: _text, int: _whole, float: _number, bool: _flag, type(None): _nothing, None: _nothing, Any: _anything,
}  # fmt: skip


def _below(at: str, name: object) -> str:
    return f"{at}.{printable(name)}" if at else printable(name)


def _wrong(at: str, expected: str, value: Any) -> InputError:
    return InputError(f"{at or 'content'}: expected {expected}, got {shown(value)}")


def _did_you_mean(name: object, known: list[str], at: str) -> str:
    closest = difflib.get_close_matches(str(name)[:LONGEST_NAME], known, n=1, cutoff=0.5)
    return f"; did you mean {_below(at, closest[0])}?" if closest else f"; known are {', '.join(known)}"

"""Bad variants of JSON, TOML and YAML documents: every field replaced, removed, nested; every table given one more."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import yaml

from tests.attack.variant import Good, Variant, of_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Steps = tuple[str | int, ...]


class Raw(str):
    """Text that goes into the document as it stands."""


DEEP = Raw("[" * 100_000 + "]" * 100_000)
DIGITS = Raw("1" * 5000)

NUMBERS: dict[str, Any] = {
    "NaN": Raw("NaN"),
    "infinity": Raw("Infinity"),
    "huge number": Raw("1e999"),
    "huge integer": 10**30,
    "64 bits": 2**63,
    "5000 digits": DIGITS,
    "negative": -1,
    "wrong type": "text",
    "wrong type, bool": True,
    "wrong type, list": [],
    "null": None,
}
TEXTS: dict[str, Any] = {
    "wrong type": 5,
    "wrong type, list": [],
    "wrong type, table": {"a": 1},
    "null": None,
    "empty text": "",
    "unprintable": "red \x1b[31m\n\u202e",
    "lone surrogate": "a\ud800b",
    "NUL bytes": "a\0b",
    "path": "../../escaped/x",
    "path, absolute": "/etc/passwd",
    "long name": "x" * 300,
}
FLAGS: dict[str, Any] = {"wrong type": "maybe", "wrong type, number": 7, "null": None, "wrong type, list": []}
HOLDERS: dict[str, Any] = {
    "wrong type": "text",
    "wrong type, number": 5,
    "null": None,
    "deep nesting": DEEP,
    "wrong type, list": [[1]],
}
MAY_PASS = (
    "negative",
    "null",
    "empty text",
    "unprintable",
    "lone surrogate",
    "long name",
    "wrong type, bool",
    "64 bits",
    "NUL bytes",
    "path",
    "path, absolute",
)
"""Kinds that are right in some fields: taken, they are no wrong answer, and the judge sees what comes of them."""
ALWAYS = ("NaN", "infinity", "huge number", "huge integer", "5000 digits", "deep nesting")
"""Kinds that no field may hold, looked at or not: the document as a whole is refused."""


def document_variants(content: bytes, good: Good) -> Iterator[Variant]:
    """Of a JSON, TOML or YAML file."""
    parse: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
    dump: dict[str, Callable[[Any], str]] = {"json": _json, "toml": _toml, "yaml": _json}  # JSON is YAML
    write = dump[good.kind]
    for kind, name, document, must_refuse in changed_documents(parse[good.kind](content.decode()), good):
        try:
            text = write(document)
        except _NotPossibleError:  # TOML has no null
            continue
        yield of_bytes(kind, name, text.encode("utf-8", "surrogatepass"), must_refuse=must_refuse)
    if good.kind != "toml":
        yield of_bytes("another shape", "a number", b"5")
        yield of_bytes("another shape", "a list", b"[1, 2]")
        yield of_bytes("another shape", "null", b"null")
        yield of_bytes("deep nesting", "nothing but brackets", b"[" * 1_000_000)
    if good.kind == "toml":
        yield of_bytes("bomb", "a key of 20 000 parts", b"a." * 20_000 + b"a = 1\n" + content)
    if good.kind == "yaml":
        bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
        yield of_bytes("bomb", "aliases in each other", bomb.encode() + content)
        yield of_bytes("bomb", "an alias of itself", b"loop: &loop [*loop]\n" + content)
        yield of_bytes("tag", "a Python object", b"x: !!python/object/apply:os.system ['true']\n" + content)
        yield of_bytes("dates", "a date that does not exist", b"x: 2024-13-45\n" + content, must_refuse=False)
        yield of_bytes(
            "mixed keys", "a date and a number", b"x: {2024-01-01: a, 1: b, c: d}\n" + content, must_refuse=False
        )


def changed_documents(document: Any, good: Good) -> Iterator[tuple[str, str, Any, bool]]:
    """(kind, field, changed copy, whether it must be refused) for every field of the parsed document."""
    for steps, value in _fields(document):
        name = _name(steps)
        free = any(fnmatchcase(name, pattern) for pattern in good.free)
        for kind, bad in _bad_values(value).items():
            must = kind in ALWAYS or not (free or kind in MAY_PASS)
            yield kind.partition(",")[0], f"{name}: {kind}", _with(document, steps, bad), must
        if steps and isinstance(steps[-1], str):
            optional = free or any(fnmatchcase(name, pattern) for pattern in good.optional)
            yield "missing key", name, _without(document, steps), not optional
        if isinstance(value, dict):
            is_open = good.open or free
            yield "unknown key", name or "top", _with(document, (*steps, "no_such_field"), 1), not is_open
            yield "unprintable", f"{name or 'top'}: a key", _with(document, (*steps, "\x1b[31m\n"), 1), not is_open


def _bad_values(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return FLAGS
    if isinstance(value, (int, float)):
        return NUMBERS
    if isinstance(value, str):
        return TEXTS
    return HOLDERS if value is not None else {"deep nesting": DEEP, "5000 digits": DIGITS, "NaN": Raw("NaN")}


def _fields(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Every field but the document itself; of lists the first item stands for all."""
    if steps:
        yield steps, value
    else:
        yield (), value if isinstance(value, dict) else None
    if isinstance(value, dict):
        for name, item in list(value.items())[:40]:
            yield from _fields(item, (*steps, name))
    elif isinstance(value, list) and value:
        yield from _fields(value[0], (*steps, 0))


def _name(steps: Steps) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def _with(document: Any, steps: Steps, bad: Any) -> Any:
    if not steps:
        return bad
    changed = copy.deepcopy(document)
    holder = changed
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = bad
    return changed


def _without(document: Any, steps: Steps) -> Any:
    changed = copy.deepcopy(document)
    holder = changed
    for step in steps[:-1]:
        holder = holder[step]
    del holder[steps[-1]]
    return changed


class _NotPossibleError(Exception):
    """The format cannot say it."""


def _json(document: Any) -> str:
    """With `Raw` texts put in as they stand."""
    raws: list[str] = []

    def marked(value: Any) -> Any:
        if isinstance(value, Raw):
            raws.append(str(value))
            return f"@raw{len(raws) - 1}@"
        if isinstance(value, dict):
            return {key: marked(item) for key, item in value.items()}
        return [marked(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(marked(document))
    for index, raw in enumerate(raws):
        text = text.replace(f'"@raw{index}@"', raw)
    return text


def _toml(document: Any) -> str:
    """Inline tables do for everything below the top."""

    def value_text(value: Any) -> str:
        if value is None:
            raise _NotPossibleError
        if isinstance(value, Raw):
            return {"NaN": "nan", "Infinity": "inf"}.get(value, str(value))
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {value_text(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            return f"[{', '.join(map(value_text, value))}]"
        return json.dumps(value)

    if not isinstance(document, dict):
        raise _NotPossibleError
    return "".join(f"{json.dumps(key)} = {value_text(value)}\n" for key, value in document.items())


def json_text(document: Any) -> str:
    """A changed document as JSON, for what carries JSON inside."""
    return _json(document)

"""JSON from outside: its size, depth and digits are bounded, NaN and infinity refused."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import LARGEST_WHOLE
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.regular_file import MIB, read_bytes
from tinydet.edge.files.text_file import decode

JSON_BYTES = 64 * MIB
"""Largest JSON file, unless a reader allows more: COCO's own training annotations have 450 MB."""
DEEPEST = 64
"""Levels of objects and lists in each other; a profile has 7."""

_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_NUMBERS = (b"0" * 19, b"e000", b"e+000")
"""Parts of a number that may be too large, after `_ALIKE`."""


def read_json(path: Path | str, *, what: str = "file", limit_bytes: int = JSON_BYTES, fix: str = "") -> Any:
    """Read a JSON file. Arguments and errors: `open_file` in `regular_file`, and `parse_json`."""
    content = read_bytes(path, what=what, limit_bytes=limit_bytes, fix=fix)
    return parse_json(content, source=printable(path), fix=fix)


def parse_json(text: str | bytes, *, source: str, fix: str = "") -> Any:
    """Parse JSON: UTF-8 with or without a byte-order mark, or UTF-16 with one.

    Args:
        text: the document.
        source: begins error messages.
        fix: what to do, at the end of error messages.

    Raises:
        InputError: broken JSON; an object names a key twice; more than `DEEPEST` levels; NaN, infinity, a number too
            large for a float, or a whole number of more than 64 bits.
    """
    then = f": {fix}" if fix else ""
    if isinstance(text, bytes):
        text = decode(text, source)
    # Slower hooks, only where a number may be too large. A regular expression takes longer than the parser.
    digits = text.encode(errors="surrogatepass").translate(_ALIKE)
    may_be_large = any(part in digits for part in _LARGE_NUMBERS)
    hooks: dict[str, Any] = {"parse_int": _whole, "parse_float": _finite} if may_be_large else {}
    try:
        content = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique, **hooks)
        too_deep = is_deeper(content, DEEPEST)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise InputError(f"{source}: broken JSON at {place}{then}") from error
    except RecursionError:
        too_deep = True
    except _RefusedError as error:
        raise InputError(f"{source}: {error}{then}") from error
    if too_deep:
        raise InputError(f"{source}: expected at most {DEEPEST} levels of objects and lists, got more{then}")
    return content


def is_deeper(content: Any, levels: int) -> bool:
    """Whether dicts and lists stand in each other more than `levels` deep, found level by level: without recursion."""
    level = [content] if isinstance(content, (dict, list)) else []
    for _ in range(levels):
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, (dict, list))
        ]
    return bool(level)


class _RefusedError(ValueError):
    """Valid JSON to Python's parser, and not to us."""


def _refuse(constant: str) -> NoReturn:
    raise _RefusedError(f"expected finite numbers, got {constant}")


def _whole(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > LARGEST_WHOLE:
        raise _RefusedError(f"expected whole numbers of at most 64 bits, got {_first(digits)}")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RefusedError(f"expected numbers that a float can hold, got {_first(text)}")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise _RefusedError(f"one object names {shown(twice)} twice")
    return found


def _first(digits: str) -> str:
    return digits if len(digits) <= 24 else f"{digits[:20]}... ({len(digits)} digits)"

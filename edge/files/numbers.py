"""Numbers from outside: finite, whole, in range; as numbers or as text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown

LARGEST_WHOLE = 2**63 - 1
"""Largest whole number: arrays and libraries take no more than 64 bits."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_FLAGS = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; with `above`, `low` itself is excluded.

    Beside a check it is a bound for `tinydet.edge.files.schema`: `Annotated[int, Range(1, 64)]`.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` is inside; NaN never is."""
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        low, high = _short(self.low), _short(self.high)
        if self.above:
            return f"above {low}" if self.high == math.inf else f"above {low}, up to {high}"
        if self.low == -math.inf:
            return f"{high} or less"
        return f"{low} or more" if self.high == math.inf else f"{low} to {high}"


def finite(value: object, name: str) -> float:
    """`value` as a finite float. `name` begins the error message, as in `--score` or `annotation 3: bbox`.

    Raises:
        InputError: it is neither a number nor the text of one (ASCII digits, no underscores), or not finite.
    """
    number = math.nan
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value)
    elif isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        try:
            number = float(value)
        except OverflowError:  # an integer too large for a float
            number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{name}: expected a finite number, got {shown(value)}")
    return number


def in_range(value: object, low: float, high: float, name: str) -> float:
    """`value` as a finite float from `low` to `high`. Raises `InputError` as `finite`, and outside the range."""
    number, expected = finite(value, name), Range(low, high)
    if not expected.holds(number):
        raise InputError(f"{name}: expected {expected}, got {shown(value)}")
    return number


def whole(value: object, name: str, low: int = -LARGEST_WHOLE, high: int = LARGEST_WHOLE) -> int:
    """`value` as an int from `low` to `high`: 3, 3.0 and "3" are 3.

    Raises:
        InputError: it is no whole number, nor the text of one, or outside the range.
    """
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str) and _WHOLE.fullmatch(value.strip())
    ):
        number = int(float(value)) if isinstance(value, float) else int(value.strip().partition(".")[0])
    if number is None or not low <= number <= high:
        bounds = "" if (low, high) == (-LARGEST_WHOLE, LARGEST_WHOLE) and number is None else f", {Range(low, high)}"
        raise InputError(f"{name}: expected a whole number{bounds}, got {shown(value)}")
    return number


def flag(value: object, name: str) -> bool:
    """`value` as a bool: true, false, 1, 0, and their texts. Raises `InputError` for anything else, such as "maybe"."""
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    found = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise InputError(f"{name}: expected true or false, got {shown(value)}")
    return found


def _short(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else f"{number:g}"

"""Types of options, whose wrong values every command's parser refuses in one line, and options of several commands."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import Range, finite, whole
from tinydet.edge.files.printable import is_printable, shown

SLICINGS = ("tiles", "full")
SLICE_OPTION: dict[str, Any] = {
    "nargs": "?",
    "const": "tiles",
    "choices": SLICINGS,
    "help": "detect large frames tile by tile at full resolution; full: also in the frame as a whole, for objects "
    "larger than a tile",
}
LONGEST_NAME = 100
MOST_IMAGES = 1_000_000
MOST_SECONDS = 7 * 24 * 3600
MOST_FRAMES_PER_S = 1000
LARGEST_SIDE_PX = 8192
"""Of an image that is rendered and of a network's input."""


def file_name(text: str) -> str:
    """Type of an option whose value becomes part of file names: printable, without a slash, not hidden."""
    if not is_printable(text) or "/" in text or text.startswith(".") or len(text.encode()) > LONGEST_NAME:
        raise ArgumentTypeError(
            f"expected a name of at most {LONGEST_NAME} bytes without / and leading dot, got {shown(text)}"
        )
    return text


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Make the type of an option that takes a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            return whole(text, "", low, high)
        except InputError as error:
            raise ArgumentTypeError(str(error).removeprefix(": ")) from error

    return parse


def number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """Make the type of an option that takes a finite number from `low` to `high`, or above `low`."""
    bounds = Range(low, high, above)

    def parse(text: str) -> float:
        try:
            value = finite(text, "")
        except InputError as error:
            raise ArgumentTypeError(f"expected a number {bounds}, got {shown(text)}") from error
        if not bounds.holds(value):
            raise ArgumentTypeError(f"expected a number {bounds}, got {shown(text)}")
        return value

    return parse


def add_json_argument(parser: ArgumentParser) -> None:
    """Add --json: a file, or `-` without one."""
    parser.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const="-",
        help="write the result as JSON to FILE, or to stdout without FILE",
    )


def add_runtime_arguments(parser: ArgumentParser) -> None:
    """Add --device and --threads."""
    from tinydet.edge.runtimes.runtime import DEVICES, MOST_THREADS

    parser.add_argument(
        "--device",
        choices=DEVICES,
        help="device to run on; fails if it is unavailable, never falls back (default: the runtime's choice)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=whole_number(1, MOST_THREADS),
        help="CPU threads of the runtime (default: its choice)",
    )

"""Output of the commands: notes, progress bars, tables. All of it goes to stderr; stdout is for data."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable, without_credentials
from tinydet.edge.files.writing import check_target, writable_folder, write_json

Item = TypeVar("Item")

STDOUT = "-"
LINE_SECONDS = 10.0


def console() -> Console:
    """Console on stderr; long lines are not broken where it is not a terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line as it is, without markup."""
    console().print(escape(printable(without_credentials(line))))


def say_notes(notes: Iterable[str]) -> None:
    """Print a line for each note."""
    for note in notes:
        say(f"note: {note}")


def say_next(*words: object) -> None:
    """Print the `tinydet` command to run next, quoted for a shell."""
    say(f"next: tinydet {shlex.join(map(str, words))}")


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Yield the items under a progress bar; without a terminal, print a line every `LINE_SECONDS`."""
    is_terminal, shown = Console(stderr=True).is_terminal, time.monotonic()
    for done, item in enumerate(track_some(iter(items), description, len(items)), start=1):
        yield item
        if not is_terminal and time.monotonic() - shown >= LINE_SECONDS:
            say(f"{description}: {done} of {len(items)}")
            shown = time.monotonic()


def track_some(items: Iterator[Item], description: str, count: int | None) -> Iterator[Item]:
    """Yield the items under a progress bar; `count` is None where their number is unknown."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=count)
        for item in items:
            yield item
            progress.advance(task)


def print_table(table: Table) -> None:
    """Print a table, at least 80 columns wide."""
    width = max(Console(stderr=True).width, 80)
    Console(stderr=True, highlight=False, width=width).print(table)


def new_table(*columns: str, title: str = "", texts: int = 1) -> Table:
    """Make a table without rows; the first `texts` columns are aligned left, the others, of numbers, right."""
    table = Table(title=escape(printable(title)), title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < texts else "right")
    return table


def metric_text(value: float | None) -> str:
    """Format a metric from 0 to 1 with three digits; a dash where no object of that size exists."""
    return "-" if value is None else f"{value:.3f}"


def accuracy_table(rows: Mapping[str, Mapping[str, float | None]], metric_keys: Sequence[str], title: str) -> Table:
    """Make a table with a row for each name and a column for each metric."""
    table = new_table("", *metric_keys, title=title)
    for name, metrics in rows.items():
        table.add_row(escape(printable(name)), *(metric_text(metrics[key]) for key in metric_keys))
    return table


def check_json_target(target: str | None, option: str = "--json", suffixes: Sequence[str] = (".json",)) -> None:
    """Check the suffix of the file to write, and that it can be a file. Raises `InputError`.

    The option's value may be left out: `--json model.onnx` would otherwise overwrite the model.
    """
    if target is None or target == STDOUT:
        return
    if Path(target).suffix.lower() not in suffixes:
        raise InputError(f"{option} {target}: expected a file ending in {' or '.join(suffixes)}")
    check_target(target)


def prepare_json_target(target: str | None) -> None:
    """Check that the target can be written, before the work starts. Raises `InputError`."""
    if target is not None and target != STDOUT:
        writable_folder(Path(target).parent)


def deliver_json(content: Any, target: str | None) -> None:
    """Write `content` as JSON to the file `target`, to stdout for `-`, nowhere for None."""
    if target == STDOUT:
        Console(highlight=False, soft_wrap=True).print_json(data=content, indent=2, highlight=False)
    elif target is not None:
        write_json(target, content)
        say(f"wrote {target}")


def deliver_line(content: Any) -> None:
    """Write `content` to stdout as one line of JSON, and flush."""
    sys.stdout.write(f"{json.dumps(content)}\n")
    sys.stdout.flush()


def deliver_text(text: str) -> None:
    """Write `text` to stdout as it is."""
    Console(highlight=False, soft_wrap=True).print(text, markup=False, emoji=False)

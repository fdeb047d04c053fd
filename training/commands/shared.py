"""Arguments and the progress bar that `train`, `distill` and `ablate` share."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def add_recipe_arguments(parser: ArgumentParser) -> None:
    """Add RECIPE and the options that `train`, `distill` and `ablate` share."""
    parser.add_argument("recipe", metavar="RECIPE", help="recipe: a TOML file, or a name that `tinydet recipes` lists")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: runs/<recipe name>)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="set a field, e.g. schedule.epochs=3; repeatable",
    )


def add_data_argument(parser: ArgumentParser) -> None:
    """Add --data."""
    parser.add_argument("--data", metavar="DIR", help="data set to train and validate on, instead of the recipe's")


def add_resume_argument(parser: ArgumentParser) -> None:
    """Add --resume."""
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --out after its last finished epoch; schedule.epochs may be larger than before",
    )


@contextmanager
def progress_bar(*, done: int, total: int) -> Iterator[tuple[Callable[[int, str], None], Console]]:
    """Show a bar of optimizer steps while the block runs; yields its update and a console for lines above it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)  # lines printed while the bar runs have to go through its console
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("training", total=total, completed=done)
        yield lambda step, text: bar.update(task, completed=step, description=text), console


def say_saved(console: Console, epoch: int, folder: Path) -> None:
    """After Ctrl-C: what is saved, and how to go on."""
    if epoch:
        note = f"saved up to epoch {epoch}: the same command with --resume continues the run in {folder}"
        console.print(note, markup=False)

"""`tinydet ablate`."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import whole_number
from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import writable_folder
from tinydet.training.commands.shared import add_data_argument, add_recipe_arguments


def _add_arguments(parser: ArgumentParser) -> None:
    add_recipe_arguments(parser)
    add_data_argument(parser)
    parser.add_argument(
        "--seeds", type=whole_number(1, 1000), default=3, metavar="N", help="runs of each variant (default: 3)"
    )
    parser.add_argument(
        "--variants",
        metavar="NAME,NAME",
        help="variants to compare, some of fpn, bare (heads on P2-P4 only), cem, cem-fbsm, full, cem-teacher, "
        "per-band, no-cem, dynamic, dynamic-no-nwd (default: all)",
    )
    parser.add_argument(
        "--split",
        default="val",
        help="split of data.val to report; other than val, of the epoch that is best on val (default: val)",
    )
    parser.add_argument("--jobs", type=whole_number(1, 256), default=1, metavar="N", help="runs at a time (default: 1)")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="page to write (default: ablation.md in --out)")


def _run(arguments: Namespace) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tinydet.edge.files.folder_lock import locked_folder
    from tinydet.training.ablation.report import write_report
    from tinydet.training.ablation.runs import Ablation
    from tinydet.training.ablation.variants import VARIANTS, variants_called
    from tinydet.training.recipes import find_recipe

    recipe = find_recipe(arguments.recipe)
    folder: Path = arguments.out or Path("runs") / recipe.stem
    page: Path = arguments.report or folder / "ablation.md"
    if page.suffix != ".md":
        raise InputError(f"--report {page}: expected a file ending in .md")
    variants = VARIANTS if arguments.variants is None else variants_called(arguments.variants.split(","))
    ablation = Ablation(
        recipe,
        folder,
        seeds=arguments.seeds,
        variants=variants,
        split=arguments.split,
        data=arguments.data,
        overrides=tuple(arguments.set),
    )
    writable_folder(page.parent)
    with locked_folder(folder):
        epochs = len(ablation.runs) * ablation.recipe.schedule.epochs
        terminal.say(
            f"{len(variants)} variants x {arguments.seeds} seeds in {folder}; after an interruption, "
            "the same command continues"
        )
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("epochs, all runs", total=epochs, completed=ablation.finished_epochs())
            ablation.train(jobs=arguments.jobs, watch=lambda done: bar.update(task, completed=done))
            if arguments.split != "val":
                task = bar.add_task(f"runs measured on {arguments.split}", total=len(ablation.runs))
                ablation.score(watch=lambda done: bar.update(task, completed=done))
        with terminal.console().status("measuring cost") as status:
            costs = ablation.costs(watch=status.update)
        write_report(page, ablation, costs, command=f"tinydet {shlex.join(sys.argv[1:])}")
        terminal.say(f"wrote {page} and {page.with_suffix('.png')}")


COMMAND = Command(
    name="ablate",
    help="measure the gain of each part of the detector: train with and without it, for several seeds",
    example="tinydet ablate ablation --seeds 3",
    add_arguments=_add_arguments,
    run=_run,
)

"""`tinydet distill`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="recipe: a TOML file, or a name that `tinydet recipes` lists")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: runs/<recipe name>)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="set a field, e.g. schedule.epochs=3; repeatable",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --out after its last finished epoch; schedule.epochs may be larger than before",
    )


def _run(arguments: Namespace) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    from tinydet.edge.commands import terminal
    from tinydet.training.engine.distillation import BACKBONE_FILE, LEVELS, Distiller, Progress
    from tinydet.training.engine.memory import keep_freed_memory
    from tinydet.training.recipes import find_recipe
    from tinydet.training.recipes.distillation_recipe import read_distillation_recipe

    keep_freed_memory()
    path = find_recipe(arguments.recipe)
    recipe = read_distillation_recipe(path, overrides=arguments.set)
    folder: Path = arguments.out or Path("runs") / path.stem
    distiller = Distiller(recipe, folder, resume=arguments.resume)
    terminal.say(
        f"{len(distiller.crops.image_paths)} images to learn from, {len(distiller.val.image_paths)} to measure on, "
        f"on {distiller.device}; run in {folder}"
    )
    console = Console(stderr=True)  # lines printed while the bar runs have to go through its console
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with ProgressBar(*columns, TimeRemainingColumn(), console=console) as bar:
        done = distiller.epoch * recipe.schedule.steps_per_epoch
        task = bar.add_task("distilling", total=recipe.schedule.total_steps, completed=done)

        def watch(progress: Progress) -> None:
            bar.update(task, completed=progress.step, description=f"loss {progress.loss:.3f}")
            if progress.row is not None:
                unexplained = "  ".join(f"{name} {progress.row[f'val {name}']:.3f}" for name in LEVELS)
                console.print(
                    f"epoch {progress.row['epoch']}: loss {progress.loss:.3f}  unexplained on val {unexplained}"
                )

        try:
            row = distiller.run(watch)
        except KeyboardInterrupt:
            if distiller.epoch:
                note = (
                    f"saved up to epoch {distiller.epoch}: the same command with --resume continues the run in {folder}"
                )
                console.print(note, markup=False)
            raise
    explained = ", ".join(f"{name} {1 - row[f'val {name}']:.0%}" for name in LEVELS)
    terminal.say(f"share of the teacher's variance that the student explains: {explained}")
    terminal.say(
        f"next: add --set model.backbone={recipe.model.student} --set model.weights={folder / BACKBONE_FILE} "
        "to tinydet train"
    )


COMMAND = Command(
    name="distill",
    help="teach a backbone another one's feature maps, from images without labels",
    example="""tinydet distill fused0 --set data.train='["my-images"]' --set data.val='["my-images"]'""",
    add_arguments=_add_arguments,
    run=_run,
)

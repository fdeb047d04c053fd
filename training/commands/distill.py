"""`tinydet distill`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.training.commands.shared import add_recipe_arguments, add_resume_argument, progress_bar, say_saved


def _add_arguments(parser: ArgumentParser) -> None:
    add_recipe_arguments(parser)
    add_resume_argument(parser)


def _run(arguments: Namespace) -> None:
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
    done = distiller.epoch * recipe.schedule.steps_per_epoch
    with progress_bar(done=done, total=recipe.schedule.total_steps) as (update, console):

        def watch(progress: Progress) -> None:
            update(progress.step, f"loss {progress.loss:.3f}")
            if progress.row is not None:
                unexplained = "  ".join(f"{name} {progress.row[f'val {name}']:.3f}" for name in LEVELS)
                console.print(
                    f"epoch {progress.row['epoch']}: loss {progress.loss:.3f}  unexplained on val {unexplained}"
                )

        try:
            row = distiller.run(watch)
        except KeyboardInterrupt:
            say_saved(console, distiller.epoch, folder)
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

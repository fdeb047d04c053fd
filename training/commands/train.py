"""`tinydet train`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError
from tinydet.training.commands.shared import (
    add_data_argument,
    add_recipe_arguments,
    add_resume_argument,
    progress_bar,
    say_saved,
)


def _add_arguments(parser: ArgumentParser) -> None:
    add_recipe_arguments(parser)
    add_data_argument(parser)
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard events into --out")
    add_resume_argument(parser)
    parser.add_argument(
        "--allow-changed-data", action="store_true", help="with --resume: go on though images or labels have changed"
    )


def _run(arguments: Namespace) -> None:
    from tinydet.training.distributed import process_group
    from tinydet.training.engine.memory import keep_freed_memory

    keep_freed_memory()
    with process_group():
        _train(arguments)


def _train(arguments: Namespace) -> None:
    from tinydet.edge.evaluation.average_precision import PROTOCOLS
    from tinydet.training import distributed as processes
    from tinydet.training.engine.trainer import BEST_FILE, Progress, Trainer
    from tinydet.training.recipes import find_recipe
    from tinydet.training.recipes.recipe import read_recipe

    if arguments.tensorboard:
        from torch.utils.tensorboard import SummaryWriter
    if arguments.allow_changed_data and not arguments.resume:
        raise InputError("--allow-changed-data has no effect without --resume: leave it out")
    path = find_recipe(arguments.recipe)
    recipe = read_recipe(path, data=arguments.data, overrides=arguments.set)
    folder: Path = arguments.out or Path("runs") / path.stem
    trainer = Trainer(recipe, folder, resume=arguments.resume, allow_changed_data=arguments.allow_changed_data)
    if processes.rank():
        trainer.run()
        return
    for note in trainer.notes:
        terminal.say(f"note: {note}")
    count = processes.world_size()
    terminal.say(
        f"{len(trainer.crops.image_paths)} training images, {len(trainer.val.images)} to validate, on {trainer.device}"
        f"{f' in each of {count} processes' if count > 1 else ''}; run in {folder}"
    )

    done = trainer.epoch * recipe.schedule.steps_per_epoch
    with progress_bar(done=done, total=recipe.schedule.total_steps) as (update, console):
        events: SummaryWriter | None = None

        def watch(progress: Progress) -> None:
            nonlocal events
            loss = progress.losses["loss_total"]
            epoch = min(progress.epoch + 1, recipe.schedule.epochs)
            update(progress.step, f"epoch {epoch}  loss {loss:.3f}")
            if progress.metrics is not None:
                scores = "  ".join(
                    f"{name} {100 * progress.metrics[name]:.1f}"
                    for name in PROTOCOLS[recipe.data.protocol].metrics
                    if progress.metrics[name] is not None
                )
                if arguments.tensorboard:
                    events = events or SummaryWriter(str(folder))  # opened here, where the folder is locked
                    for name, value in progress.metrics.items():
                        if value is not None:
                            events.add_scalar(name, value, progress.step)
                    events.flush()
                console.print(f"epoch {progress.epoch}: loss {progress.metrics['loss_total']:.3f}  {scores}")

        try:
            best = trainer.run(watch)
        except KeyboardInterrupt:
            say_saved(console, trainer.epoch, folder)
            raise
    terminal.say(f"best AP {100 * best['AP']:.1f} at epoch {best['epoch']}; curves in {folder / 'curves.png'}")
    calibration = recipe.data.train[0]
    best_file = folder / BEST_FILE
    terminal.say_next("export", best_file, "--precision", "int8", "--calibration", calibration, "--out", folder)


COMMAND = Command(
    name="train",
    help="train a detector from a recipe",
    example="""tinydet train aerial-vehicles --data my-dataset --set schedule.epochs=20
  torchrun --nproc-per-node 4 --max-restarts 3 -m tinydet train RECIPE   (on four GPUs of this machine)""",
    add_arguments=_add_arguments,
    run=_run,
)

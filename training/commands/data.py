"""`tinydet data`: making data sets."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.cli import CommandParser
from edge.command import Command

_FPS = 25.0


def _add_render_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the COCO data set")
    parser.add_argument("--images", type=int, default=100, metavar="N", help="number of pictures (default: 100)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the same seed, the same pictures (default: 0)"
    )
    parser.add_argument("--size", type=int, default=640, metavar="PX", help="width and height (default: 640)")
    parser.add_argument("--split", default="val", metavar="NAME", help="name of the split (default: val)")
    parser.add_argument(
        "--clip",
        type=int,
        metavar="FRAMES",
        help="instead of single pictures, one clip of moving objects with identities, also as clip.mp4",
    )


def _render(args: Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from edge import terminal
    from training.data.scenes import write_clip, write_dataset

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    size_hw = (args.size, args.size)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("rendering", total=args.images if args.clip is None else args.clip)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done)

        if args.clip is None:
            written = write_dataset(
                args.out, images=args.images, seed=args.seed, size_hw=size_hw, split=args.split, progress=show
            )
        else:
            written = write_clip(
                args.out, frames=args.clip, fps=_FPS, seed=args.seed, size_hw=size_hw, split=args.split, progress=show
            )
    terminal.say(f"wrote {written}")
    return 0


RENDER = Command(
    name="data render",
    help="Render top-down drone scenes with exact boxes, as a COCO data set.",
    example="tinydet data render --out scenes --images 100",
    add_arguments=_add_render_arguments,
    run=_render,
)


def _add_arguments(parser: ArgumentParser) -> None:
    tasks = parser.add_subparsers(required=True, metavar="TASK", parser_class=_TaskParser)
    tasks.add_parser("render", help=RENDER.help, command=RENDER).set_defaults(run=RENDER.run)


class _TaskParser(CommandParser):
    """argparse offers its subparsers a program name, which the task's command has already."""

    def __init__(self, command: Command, **_: object) -> None:
        super().__init__(command)


def _run(args: Namespace) -> int | None:
    code: int | None = args.run(args)
    return code


COMMAND = Command(
    name="data",
    help="Make data sets: render scenes.",
    example=RENDER.example,
    add_arguments=_add_arguments,
    run=_run,
)

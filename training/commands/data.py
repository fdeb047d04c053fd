"""`tinydet data`: check, convert and render data sets."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydet.edge.commands import terminal
from tinydet.edge.commands.cli import CommandParser
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import (
    LARGEST_SIDE_PX,
    MOST_FRAMES_PER_S,
    add_json_argument,
    file_name,
    number,
    whole_number,
)
from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import LARGEST_WHOLE
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.writing import writable_folder
from tinydet.training.commands.fetch import FETCH

if TYPE_CHECKING:
    from tinydet.edge.datasets.dataset import Dataset


MOST_PICTURES = 100_000
FRAMES_PER_S = 25.0


def _add_render_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the new data set (COCO JSON)")
    parser.add_argument(
        "--images",
        type=whole_number(1, MOST_PICTURES),
        default=100,
        metavar="N",
        help="number of images (default: 100)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, LARGEST_WHOLE), default=0, metavar="N", help="seed of the images (default: 0)"
    )
    parser.add_argument(
        "--size",
        type=whole_number(32, LARGEST_SIDE_PX),
        default=640,
        metavar="PX",
        help="width and height (default: 640)",
    )
    parser.add_argument(
        "--split", type=file_name, default="val", metavar="NAME", help="name of the split (default: val)"
    )
    parser.add_argument(
        "--margin",
        type=number(0, 1000),
        default=0.0,
        metavar="PX",
        help="widen boxes, as people draw them (default: 0, exact)",
    )
    parser.add_argument(
        "--decoys",
        action="store_true",
        help="add decoys: as many unlabelled vents, skylights and stones on roofs and fields as vehicles on streets "
        "and yards, drawn alike, so that only the surroundings tell them apart",
    )
    parser.add_argument(
        "--clip",
        type=whole_number(1, MOST_PICTURES),
        metavar="FRAMES",
        help="render a clip instead, with track ids, also as clip.mp4",
    )
    parser.add_argument(
        "--fps",
        type=number(0.01, MOST_FRAMES_PER_S),
        metavar="N",
        help="frame rate of the clip (default: 25)",
    )


def _render(args: Namespace) -> None:
    from tinydet.training.data.scenes import write_clip, write_dataset

    if args.clip is None and args.fps is not None:
        raise InputError("--fps is the frame rate of a clip: add --clip FRAMES, or leave --fps out")
    if args.decoys and args.clip is not None:
        raise InputError("--decoys is for single images, because in a clip decoys stand still: leave --clip out")
    write = (
        partial(write_dataset, images=args.images, decoys=args.decoys)
        if args.clip is None
        else partial(write_clip, frames=args.clip, fps=FRAMES_PER_S if args.fps is None else args.fps)
    )
    written = write(
        args.out,
        seed=args.seed,
        size_hw=(args.size, args.size),
        split=args.split,
        margin_px=args.margin,
        progress=partial(terminal.track, description="rendering"),
    )
    terminal.say(f"wrote {written}")


RENDER = Command(
    name="data render",
    help="render top-down drone scenes with exact boxes as a COCO data set",
    example="tinydet data render --out scenes --images 100\n  tinydet data render --out decoys --images 100 --decoys",
    add_arguments=_add_render_arguments,
    run=_render,
)


def _add_data_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "data",
        type=Path,
        metavar="PATH",
        help="data set: folder or file in COCO, VisDrone, YOLO, Pascal VOC or DOTA format",
    )
    parser.add_argument(
        "--map", action="append", default=[], metavar="OLD=NEW", help="rename or merge a class; repeatable"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="CLASS",
        help="make a class neither object nor background; repeatable",
    )


def _add_check_arguments(parser: ArgumentParser) -> None:
    _add_data_arguments(parser)
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="picture to write (default: runs/check/<name>.png)"
    )
    add_json_argument(parser)


def _check(args: Namespace) -> int:
    from tinydet.edge.datasets.labels import lexical
    from tinydet.training.data.check_dataset import check
    from tinydet.training.data.check_picture import write_picture

    picture: Path = args.picture or Path("runs/check") / f"{lexical(args.data).stem or 'check'}.png"
    if picture.suffix != ".png":
        raise InputError(f"--picture {printable(picture)}: expected a file ending in .png")
    terminal.check_json_target(args.json)
    splits = _mapped_splits(args)
    terminal.prepare_json_target(args.json)
    writable_folder(picture.parent)
    report = check(splits, lambda jobs: terminal.track(jobs, "reading images"))
    content = report.as_dict()
    for name, values in content["splits"].items():
        _print_split(name, values)
    for finding in report.findings:
        terminal.say(f"{finding.kind}: {finding.text}")
    terminal.deliver_json(content, args.json)
    write_picture(picture, report)
    terminal.say(f"wrote {picture}")
    count = len(report.findings)
    terminal.say(f"{count} {'problem' if count == 1 else 'problems'} found" if count else "no problems found")
    return 1 if count else 0


def _print_split(name: str, values: dict[str, Any]) -> None:
    from tinydet.edge.evaluation.average_precision import BAND_NAMES, BANDS_PX, EVERY_SIZE

    title = f"{name}: {values['format']}, {values['images']} images, {values['objects']} objects ({values['path']})"
    columns = [
        f"{band}, {low:g} px and up" if high == EVERY_SIZE[1] else f"{band}, {low:g}-{high:g} px"
        for band, (low, high) in zip(BAND_NAMES, BANDS_PX.values(), strict=True)
    ]
    table = terminal.new_table(*columns, title=title, texts=0)
    total = max(1, sum(values["objects_by_band"].values()))
    table.add_row(*(f"{count} ({100 * count / total:.0f} %)" for count in values["objects_by_band"].values()))
    terminal.print_table(table)
    by_class = ", ".join(f"{name} {count}" for name, count in values["objects_by_class"].items())
    terminal.say(f"by class: {by_class or 'no class'}")
    extras = {key: values[key] for key in ("crowds", "ignored_regions", "images_without_objects") if values[key]}
    if extras:
        terminal.say("also: " + ", ".join(f"{count} {key.replace('_', ' ')}" for key, count in extras.items()))
    terminal.say_notes(values["notes"])


def _mapped_splits(args: Namespace) -> dict[str, Dataset]:
    """Read all splits, with classes renamed and ignored as the options say."""
    from tinydet.edge.datasets.labels import class_name
    from tinydet.training.data.class_map import map_known_classes

    names = {}
    for pair in args.map:
        old, _, new = pair.partition("=")
        if not old or not new:
            raise InputError(f"--map expects OLD=NEW, such as van=car, got {shown(pair)}")
        names[old] = class_name(new, "--map")
    splits = _read_splits(args.data)
    known = {name for dataset in splits.values() for name in dataset.class_names}
    return {split: map_known_classes(dataset, names, args.ignore, known=known) for split, dataset in splits.items()}


def _read_splits(data: Path) -> dict[str, Dataset]:
    """Every split there is; a single file counts as one."""
    from tinydet.edge.datasets.reading import find_dataset, read_images, splits_of

    path = find_dataset(data)
    if path.is_file() and path.suffix == ".json":
        return {printable(path.stem): read_images(path)}
    return {split: read_images(path, split=split) for split in splits_of(path) or ("train",)}


CHECK = Command(
    name="data check",
    help="check a data set: object sizes, broken files, duplicates, leaks between splits; exits with 1 on problems",
    example="tinydet data check datasets/VisDrone",
    add_arguments=_add_check_arguments,
    run=_check,
)


def _add_convert_arguments(parser: ArgumentParser) -> None:
    _add_data_arguments(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the new data set (COCO JSON); must not exist"
    )


def _convert(args: Namespace) -> None:
    from tinydet.training.data.convert import convert

    splits = _mapped_splits(args)
    for dataset in splits.values():
        terminal.say_notes(dataset.notes)
    convert(splits, args.out, lambda records: terminal.track(records, "copying images"))
    for name, dataset in splits.items():
        terminal.say(f"{name}: {len(dataset.images)} images, {dataset.object_count} objects")
    terminal.say(f"wrote {args.out}")
    terminal.say_next("data", "check", args.out)


CONVERT = Command(
    name="data convert",
    help="convert a data set of any format to COCO JSON",
    example="tinydet data convert datasets/VisDrone --out datasets/visdrone-coco",
    add_arguments=_add_convert_arguments,
    run=_convert,
)

TASKS = {"check": CHECK, "convert": CONVERT, "fetch": FETCH, "render": RENDER}


def _add_arguments(parser: ArgumentParser) -> None:
    tasks = parser.add_subparsers(required=True, metavar="TASK", parser_class=_TaskParser)
    for name, task in TASKS.items():
        tasks.add_parser(name, help=task.help, command=task).set_defaults(run=task.run)


class _TaskParser(CommandParser):
    """Parser of a task; ignores argparse's `prog`, because the command has its own."""

    def __init__(self, command: Command, **_: object) -> None:
        super().__init__(command)


COMMAND = Command(
    name="data",
    help="check, convert, fetch and render data sets",
    example=CHECK.example,
    add_arguments=_add_arguments,
    run=lambda args: args.run(args),
)

"""`tinydet data fetch`: public data sets from their authors."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinydet.training.data.public_sets import ByHand, PublicSet, RemoteFile

DATASETS = Path("datasets")


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="data set to fetch (default: list them)")
    parser.add_argument("--list", action="store_true", help="list the data sets with size and licence")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER|URL",
        help="copy of the authors' files to read instead: a folder, a .tar.gz archive, or the address of one",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to make (default: its folder in datasets/)")


def _run(args: Namespace) -> None:
    from tinydet.training.data.fetch import fetch
    from tinydet.training.data.public_sets import public_set

    if args.name is None or args.list:
        if args.name is not None or args.source is not None or args.out is not None:
            raise InputError("--list takes no other argument; --from and --out need the NAME of a data set")
        _print_sets()
        return
    chosen = public_set(args.name)
    out: Path = args.out or DATASETS / chosen.folder
    _introduce(args.name, chosen)
    if chosen.by_hand is not None:
        if args.source is not None:
            raise InputError(f"--from has no effect on {args.name}, which has to be fetched by hand")
        _check_by_hand(args.name, chosen.by_hand, out)
        new = False
    else:
        if chosen.note and args.source is None:
            terminal.say(f"  note      {chosen.note}")
        try:
            new = fetch(
                args.name,
                out,
                source=args.source,
                progress=lambda files, count: terminal.track_some(files, "downloading", count),
            )
        except KeyboardInterrupt:
            terminal.say("files that are complete are kept: the same command goes on from there")
            raise
    if not new:
        terminal.say(f"{out} is complete: nothing to do")
        return
    terminal.say(f"wrote {out}")
    terminal.say_next("data", "check", out)


def _check_by_hand(name: str, by_hand: ByHand, out: Path) -> None:
    """Print the steps and raise `InputError` unless `out` holds the data set."""
    missing = [path for path in by_hand.holds if not (out / path).exists()]
    if missing:
        for number, step in enumerate(by_hand.steps, start=1):
            terminal.say(f"  {number}. {step.format(folder=out)}")
        raise InputError(f"{name} has to be fetched by hand, and {out / missing[0]} is missing: see the steps")


def _introduce(name: str, chosen: PublicSet) -> None:
    """Address, licence and credit, before anything is downloaded."""
    from tinydet.training.data.public_sets import manifest

    terminal.say(f"{name}: {chosen.title}")
    terminal.say(f"  address   {chosen.address}")
    terminal.say(f"  licence   {chosen.licence}")
    terminal.say(f"  credit    {chosen.credit}")
    if chosen.by_hand is None:
        files = manifest(name)
        terminal.say(f"  download  {_megabytes(files):.0f} MB in {len(files)} files")


def _megabytes(files: Sequence[RemoteFile]) -> float:
    return sum(file.size_bytes for file in files) / 1e6


def _print_sets() -> None:
    from tinydet.training.data.public_sets import manifest, names, public_set

    for name in names():
        chosen = public_set(name)
        size = "by hand" if chosen.by_hand is not None else f"{_megabytes(manifest(name)):.0f} MB"
        terminal.say(f"{name:<16} {size:>7}  {chosen.licence:<23} {chosen.title}")


FETCH = Command(
    name="data fetch",
    help="fetch a public data set from its authors; without a name, list the data sets",
    example="tinydet data fetch aerial-vehicles",
    add_arguments=_add_arguments,
    run=_run,
)

"""`tinydet recommend`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands.command import Command

EXIT_NOT_SO = 1


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("profile", metavar="PROFILE.json", type=Path, help="what `tinydet profile --json` wrote here")
    parser.add_argument("--min-fps", metavar="N", type=float, help="frames a second, end to end")
    parser.add_argument("--min-ap", metavar="AP", type=float, help="0 to 1")
    parser.add_argument("--max-watt", metavar="W", type=float, help="mean power of the whole board")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the result as JSON (default: stdout)"
    )


def _run(arguments: Namespace) -> int:
    from tinydet.boards.profiling.profile import read_profile
    from tinydet.boards.profiling.recommendation import Limits, recommend
    from tinydet.edge.commands import terminal

    terminal.check_json_target(arguments.json)
    limits = Limits(min_fps=arguments.min_fps, min_ap=arguments.min_ap, max_watt=arguments.max_watt)
    profile = read_profile(arguments.profile)
    chosen = recommend(profile, limits)
    for name, misses in chosen.misses.items():
        terminal.say(f"not {name}: {'; '.join(misses)}")
    terminal.say(f"{'none' if chosen.artifact is None else chosen.artifact}: {chosen.reason}")
    terminal.say(f"measured on {profile['machine']['name']}, {profile['protocol']['frames']}")
    terminal.deliver_json(chosen.as_dict(), arguments.json)
    return EXIT_NOT_SO if chosen.artifact is None else 0


COMMAND = Command(
    name="recommend",
    help="pick the artifact that meets a frame rate, an AP or a power limit, from a profile of this board",
    example="tinydet recommend runs/profile.json --min-fps 15 --min-ap 0.3",
    add_arguments=_add_arguments,
    run=_run,
)

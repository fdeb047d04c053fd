"""`tinydet recommend`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import add_json_argument, number

EXIT_NONE = 1


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "profile", metavar="PROFILE.json", type=Path, help="profile of this board, from `tinydet profile --json`"
    )
    parser.add_argument(
        "--min-fps", metavar="N", type=number(0, 1_000_000), help="minimum frames per second, end to end"
    )
    parser.add_argument("--min-ap", metavar="AP", type=number(0, 1), help="minimum AP, 0 to 1")
    parser.add_argument(
        "--max-watt",
        metavar="W",
        type=number(0, 1_000_000, above=True),
        help="maximum mean power of the whole board, watts",
    )
    add_json_argument(parser)


def _run(arguments: Namespace) -> int:
    from tinydet.boards.profiling.profile_file import read_profile
    from tinydet.boards.profiling.recommendation import Limits, recommend

    terminal.check_json_target(arguments.json)
    limits = Limits(min_fps=arguments.min_fps, min_ap=arguments.min_ap, max_watt=arguments.max_watt)
    profile = read_profile(arguments.profile)
    chosen = recommend(profile, limits)
    for name, misses in chosen.misses.items():
        terminal.say(f"rejected {name}: {'; '.join(misses)}")
    terminal.say(f"{'none' if chosen.artifact is None else chosen.artifact}: {chosen.reason}")
    terminal.say(f"measured on {profile['machine']['name']}, {profile['protocol']['frames']}")
    terminal.deliver_json(chosen.as_dict(), arguments.json)
    return EXIT_NONE if chosen.artifact is None else 0


COMMAND = Command(
    name="recommend",
    help="choose the most accurate artifact within limits of frame rate, AP and power, from a profile",
    example="tinydet recommend runs/profile.json --min-fps 15 --min-ap 0.3",
    add_arguments=_add_arguments,
    run=_run,
)

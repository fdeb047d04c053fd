"""`tinydet profile`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import MOST_SECONDS, add_json_argument, add_runtime_arguments, number
from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinydet.boards.profiling.profile import Profile, ProfileOutput
    from tinydet.boards.report.pictures import Picture
    from tinydet.edge.datasets.dataset import Dataset

DEFAULT_SECONDS = 10.0
MAX_COLUMNS = 3


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("artifacts", metavar="ARTIFACT", nargs="+", help="model files or bundled sizes")
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=Path,
        help="data set with the images to time on; accuracy is measured if they are labelled (default: built-in noise)",
    )
    parser.add_argument("--split", default="val", help="split of a data set folder (default: val)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds",
        metavar="N",
        type=number(0, MOST_SECONDS, above=True),
        default=DEFAULT_SECONDS,
        help="seconds of timing per artifact (default: 10)",
    )
    length.add_argument(
        "--sustained",
        metavar="MINUTES",
        type=number(0, MOST_SECONDS / 60, above=True),
        help="minutes of timing per artifact without a break, to see the effect of heat: 10 or more",
    )
    add_json_argument(parser)
    parser.add_argument("--report", metavar="FILE.html", help="write a report with plots and images as one HTML file")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table to stdout, a row per artifact")
    add_runtime_arguments(parser)
    parser.add_argument(
        "--host",
        metavar="USER@BOARD",
        help="measure on this board, over ssh with a known key: sends artifacts and images, fetches the result",
    )
    parser.add_argument(
        "--host-tinydet",
        metavar="COMMAND",
        help="tinydet on that board, for example venv/bin/tinydet (default: tinydet)",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="print the profile so far to stdout after each turn, as a line of JSON; --host uses it",
    )


def _run(arguments: Namespace) -> None:
    from tinydet.boards.report.markdown import markdown_table
    from tinydet.boards.report.page import report_html
    from tinydet.boards.report.summary import protocol_lines

    _check_options(arguments)
    dataset = _read_dataset(arguments)
    terminal.prepare_json_target(arguments.json)
    terminal.prepare_json_target(arguments.report)
    measured = _measure_on_host(arguments, dataset) if arguments.host else _measure_here(arguments, dataset)
    content = measured.content
    if arguments.stream:
        terminal.deliver_line(content)
    terminal.print_table(_table(content))
    for line in protocol_lines(content):
        terminal.say(line)
    if len(content["artifacts"]) > MAX_COLUMNS:
        terminal.say("all figures: --report FILE.html, --json FILE")
    terminal.deliver_json(content, arguments.json)
    if arguments.report is not None:
        write_text(arguments.report, measured.report_html or report_html(content))
        terminal.say(f"wrote {arguments.report}")
    if arguments.markdown:
        terminal.deliver_text(markdown_table(content))
    if measured.broken is not None:
        kept = [target for target in (arguments.json, arguments.report) if target not in (None, terminal.STDOUT)]
        raise InputError(f"{measured.broken}; the result so far is above{' and in ' * bool(kept)}{', '.join(kept)}")
    if arguments.json not in (None, terminal.STDOUT) and len(arguments.artifacts) > 1:
        terminal.say_next("recommend", arguments.json, "--min-fps", 15)
    else:
        terminal.say_next("detect", arguments.artifacts[-1], "YOUR-IMAGES", "--save", "runs/detections")


def _check_options(arguments: Namespace) -> None:
    """Raises `InputError` for options that contradict each other and outputs that cannot be written."""

    terminal.check_json_target(arguments.json)
    terminal.check_json_target(arguments.report, "--report", (".html",))
    outputs = {"--markdown": arguments.markdown, "--json": arguments.json == terminal.STDOUT}
    to_stdout = [name for name, wanted in (outputs | {"--stream": arguments.stream}).items() if wanted]
    if len(to_stdout) > 1:
        raise InputError(f"{' and '.join(to_stdout)} both write to stdout: name a file for --json")
    if arguments.host_tinydet is not None and arguments.host is None:
        raise InputError("--host-tinydet needs --host, the board that this tinydet is on")


def _read_dataset(arguments: Namespace) -> Dataset | None:
    from tinydet.edge.datasets.reading import read_images

    if arguments.data is None:
        return None
    dataset = read_images(arguments.data, split=arguments.split)
    terminal.say_notes(dataset.notes)
    return dataset


def _measure_here(arguments: Namespace, dataset: Dataset | None) -> ProfileOutput:
    from tinydet.boards.profiling.frames import dataset_frames, noise_frames
    from tinydet.boards.profiling.profile import ProfileOutput
    from tinydet.boards.profiling.profiler import Profiler
    from tinydet.boards.report.page import report_html

    frames = noise_frames() if dataset is None else dataset_frames(dataset)
    labelled = dataset if dataset is not None and dataset.object_count else None
    if labelled is None:
        terminal.say(f"note: frames are {frames.description}; without labels no accuracy is measured (--data DATA)")

    with terminal.console().status("") as status:
        profile = Profiler(
            arguments.artifacts,
            frames=frames,
            seconds=arguments.seconds if arguments.sustained is None else arguments.sustained * 60,
            sustained=arguments.sustained is not None,
            threads=arguments.threads,
            device=arguments.device,
            dataset=labelled,
            on_step=status.update,
            on_profile=(lambda profile: terminal.deliver_line(profile.as_dict())) if arguments.stream else None,
        ).run()
    content = profile.as_dict()
    if arguments.report is None:
        return ProfileOutput(content=content)
    pictured, pictures = _pictures(profile, content, labelled)
    return ProfileOutput(content=content, report_html=report_html(content, pictures, pictured))


def _measure_on_host(arguments: Namespace, dataset: Dataset | None) -> ProfileOutput:
    from tinydet.boards.profiling.remote import profile_on_host

    seconds, minutes, threads = arguments.seconds, arguments.sustained, arguments.threads
    options = ["--seconds", str(seconds)] if minutes is None else ["--sustained", str(minutes)]
    options += [] if threads is None else ["--threads", str(threads)]
    options += [] if arguments.device is None else ["--device", arguments.device]
    with terminal.console().status(f"to {arguments.host}") as status:
        return profile_on_host(
            arguments.host,
            arguments.artifacts,
            options=options,
            dataset=dataset,
            with_report=arguments.report is not None,
            tinydet=arguments.host_tinydet or "tinydet",
            on_profile=lambda content: status.update(f"{arguments.host}: {_progress(content)}"),
        )


def _progress(content: Mapping[str, Any]) -> str:
    turns = sum(len(row["turns"]) for row in content["artifacts"])
    scored = sum(row["accuracy"] is not None for row in content["artifacts"])
    return f"{turns} turns" + (f", accuracy of {scored} artifacts" if scored else "")


def _pictures(profile: Profile, content: Mapping[str, Any], dataset: Dataset | None) -> tuple[str, list[Picture]]:
    """Name of the artifact with the best AP, and images with its detections."""
    from tinydet.boards.profiling.profile_file import average_precision
    from tinydet.boards.report.pictures import best_and_worst
    from tinydet.edge.detection.detector import Detector

    if dataset is None:
        return "", []

    best = max(content["artifacts"], key=lambda row: average_precision(row) or 0.0)["artifact"]
    with Detector(best) as detector:
        return Path(best).name, best_and_worst(dataset, profile.found[best], detector.score_threshold)


def _table(content: Mapping[str, Any]) -> Table:
    """A column for each artifact and a row for each figure; for many artifacts a row each, with the main figures."""

    from tinydet.boards.profiling.latency_statistics import time_ratio
    from tinydet.boards.profiling.profile_file import file_name, turn_times_ms
    from tinydet.boards.report.summary import figures, number_text

    if len(content["artifacts"]) > MAX_COLUMNS:
        heads = ("AP", "APt", "infer p50, ms", "infer ratio", "total p95, ms", "FPS", "MiB", "W")
        table = terminal.new_table("", *heads)
        table.columns[0].no_wrap = True
        first = turn_times_ms(content["artifacts"][0], ["infer"])
        for row in content["artifacts"]:
            accuracy = row["accuracy"] or {}
            table.add_row(
                escape(file_name(row)),
                terminal.metric_text(accuracy.get("AP")),
                terminal.metric_text(accuracy.get("APt")),
                number_text(row["stages"]["infer"]["p50_ms"], 1),
                number_text(time_ratio(first, turn_times_ms(row, ["infer"])), 2),
                number_text(row["stages"]["total"]["p95_ms"], 1),
                number_text(row["frames_per_s"], 1),
                number_text(row["memory_mib"]["peak"], 0),
                number_text(row["sensors"]["power_w"], 2),
            )
        return table
    table = terminal.new_table("")
    for row in content["artifacts"]:
        table.add_column(escape(file_name(row)), justify="right", overflow="fold")
    for name, texts, ends_group in figures(content):
        table.add_row(name, *map(escape, texts), end_section=ends_group)
    return table


COMMAND = Command(
    name="profile",
    help="measure artifacts on this board: time by stage, frames per second, memory, power, heat, accuracy",
    example="tinydet profile n-640px-fp32.onnx n-640px-int8.onnx --data datasets/flights --json runs/profile.json "
    "--report runs/profile.html",
    add_arguments=_add_arguments,
    run=_run,
)

"""`tinydet profile`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.command import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from boards.profile import Profile
    from boards.report.pictures import Picture
    from edge.dataset import Dataset

DEFAULT_SECONDS = 10.0


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("artifacts", metavar="ARTIFACT", nargs="+", help="model files, or bundled sizes")
    parser.add_argument(
        "--data", metavar="DATA", type=Path, help="frames to time on, and labels to measure accuracy by"
    )
    parser.add_argument("--split", default="val", help="which annotations of a data set folder (default: val)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", metavar="N", type=float, default=DEFAULT_SECONDS, help="time each artifact that long (default: 10)"
    )
    length.add_argument(
        "--sustained",
        metavar="MINUTES",
        type=float,
        help="time each artifact that long without a break, to see what heat does: 10 or more",
    )
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the result as JSON (default: stdout)"
    )
    parser.add_argument("--report", metavar="FILE.html", help="write a page with plots and pictures, in one file")
    parser.add_argument("--markdown", action="store_true", help="print a table row for each artifact to stdout")
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads (default: the runtime's choice)")


def _run(arguments: Namespace) -> None:
    from boards.profiler import dataset_frames, noise_frames, profile_artifacts
    from boards.report.markdown import markdown_table
    from boards.report.page import protocol_lines, report_html
    from edge import terminal
    from edge.errors import InputError
    from edge.files import write_text
    from edge.formats import read_dataset

    terminal.check_json_target(arguments.json)
    terminal.check_json_target(arguments.report, "--report", (".html",))
    if arguments.markdown and arguments.json == terminal.STDOUT:
        raise InputError("--markdown and --json both write to stdout: name a file for --json")
    for target in (arguments.json, arguments.report):
        if target is not None and Path(target).is_dir():
            raise InputError(f"cannot write file {target}: it is a folder")
    dataset = None if arguments.data is None else read_dataset(arguments.data, split=arguments.split)
    frames = noise_frames() if dataset is None else dataset_frames(dataset)
    labelled = dataset if dataset is not None and dataset.object_count else None
    for note in dataset.notes if dataset is not None else ():
        terminal.say(f"note: {note}")
    if labelled is None:
        terminal.say(f"note: frames are {frames.description}; no labels, so no accuracy (--data DATA brings both)")
    terminal.prepare_json_target(arguments.json)
    terminal.prepare_json_target(arguments.report)

    with terminal.console().status("") as status:
        profile = profile_artifacts(
            arguments.artifacts,
            frames=frames,
            seconds=arguments.seconds if arguments.sustained is None else arguments.sustained * 60,
            sustained=arguments.sustained is not None,
            threads=arguments.threads,
            dataset=labelled,
            on_turn=status.update,
        )

    content = profile.as_dict()
    terminal.print_table(_table(content))
    for line in protocol_lines(content):
        terminal.say(line)
    terminal.deliver_json(content, arguments.json)
    if arguments.report is not None:
        pictured, pictures = _pictures(profile, labelled)
        write_text(arguments.report, report_html(content, pictures, pictured))
        terminal.say(f"wrote {arguments.report}")
    if arguments.markdown:
        terminal.deliver_text(markdown_table(content))
    if arguments.json not in (None, terminal.STDOUT) and len(arguments.artifacts) > 1:
        terminal.say(f"next: tinydet recommend {arguments.json} --min-fps 15")
    else:
        terminal.say(f"next: tinydet detect {arguments.artifacts[-1]} YOUR-IMAGES --save runs/detections")


def _pictures(profile: Profile, dataset: Dataset | None) -> tuple[str, list[Picture]]:
    """Of the artifact with the best AP."""
    from boards.report.pictures import best_and_worst
    from edge.detector import Detector

    if dataset is None:
        return "", []

    def ap(name: str) -> float:
        row = next(row for row in profile.artifacts if row.artifact == name)
        return (row.accuracy.overall["AP"] if row.accuracy is not None else None) or 0.0

    best = max(profile.found, key=ap)
    detector = Detector(best)
    detector.runtime.close()
    return Path(best).name, best_and_worst(dataset, profile.found[best], detector.score_threshold)


def _table(content: Mapping[str, Any]) -> Table:
    """A column for each artifact, a row for each figure: three artifacts fit any terminal."""
    from rich.markup import escape
    from rich.table import Table

    from boards.report.page import summary_rows

    table = Table()
    table.add_column("")
    for row in content["artifacts"]:
        table.add_column(escape(Path(row["artifact"]).name), justify="right", overflow="fold")
    for name, texts, last in summary_rows(content):
        table.add_row(name, *map(escape, texts), end_section=last)
    return table


COMMAND = Command(
    name="profile",
    help="measure what artifacts cost here: time by stage, frames a second, memory, power, heat, accuracy",
    example="tinydet profile n-640px-fp32.onnx n-640px-int8.onnx --data datasets/flights --json runs/profile.json "
    "--report runs/profile.html",
    add_arguments=_add_arguments,
    run=_run,
)

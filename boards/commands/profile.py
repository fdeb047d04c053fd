"""`tinydet profile`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydet.edge.commands.command import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from tinydet.boards.profiling.profile import Profile
    from tinydet.boards.report.pictures import Picture
    from tinydet.edge.datasets.dataset import Dataset

DEFAULT_SECONDS = 10.0
MOST_COLUMNS = 3


def _add_arguments(parser: ArgumentParser) -> None:
    from tinydet.edge.runtimes.runtime import DEVICES

    parser.add_argument("artifacts", metavar="ARTIFACT", nargs="+", help="model files, or bundled sizes")
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=Path,
        help="frames to time on, and labels to measure accuracy by; a folder of images gives frames only",
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
    parser.add_argument(
        "--device", choices=DEVICES, help="what computes; it or an error (default: the runtime's choice)"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads (default: the runtime's choice)")
    parser.add_argument(
        "--host",
        metavar="USER@BOARD",
        help="measure there, over ssh: artifacts and images are copied, the result comes back; ssh must know the host",
    )
    parser.add_argument(
        "--host-tinydet",
        metavar="COMMAND",
        help="tinydet on that host, as in --host-tinydet venv/bin/tinydet (default: tinydet)",
    )
    parser.add_argument(
        "--stream", action="store_true", help="print the profile so far as a line of JSON after each turn: for --host"
    )


def _run(arguments: Namespace) -> None:
    from tinydet.boards.report.markdown import markdown_table
    from tinydet.boards.report.page import protocol_lines, report_html
    from tinydet.edge.commands import terminal
    from tinydet.edge.errors import InputError
    from tinydet.edge.files import write_text

    dataset = _dataset(arguments)
    measured = _there(arguments, dataset) if arguments.host else _here(arguments, dataset)
    content = measured.content
    if arguments.stream:
        terminal.deliver_line(content)
    terminal.print_table(_table(content))
    for line in protocol_lines(content):
        terminal.say(line)
    if len(content["artifacts"]) > MOST_COLUMNS:
        terminal.say("all figures: --report FILE.html, --json FILE")
    terminal.deliver_json(content, arguments.json)
    if arguments.report is not None:
        write_text(arguments.report, measured.report_html or report_html(content))
        terminal.say(f"wrote {arguments.report}")
    if arguments.markdown:
        terminal.deliver_text(markdown_table(content))
    if measured.broken is not None:
        kept = [target for target in (arguments.json, arguments.report) if target not in (None, terminal.STDOUT)]
        raise InputError(f"{measured.broken}; what came until then is above{' and in ' * bool(kept)}{', '.join(kept)}")
    if arguments.json not in (None, terminal.STDOUT) and len(arguments.artifacts) > 1:
        terminal.say(f"next: tinydet recommend {arguments.json} --min-fps 15")
    else:
        terminal.say(f"next: tinydet detect {arguments.artifacts[-1]} YOUR-IMAGES --save runs/detections")


def _dataset(arguments: Namespace) -> Dataset | None:
    """What to measure on; raises `InputError` for that and for targets that cannot be written."""
    from tinydet.edge.commands import terminal
    from tinydet.edge.datasets.reading import read_images
    from tinydet.edge.errors import InputError

    terminal.check_json_target(arguments.json)
    terminal.check_json_target(arguments.report, "--report", (".html",))
    to_stdout = {"--markdown": arguments.markdown, "--json": arguments.json == terminal.STDOUT}
    both = [name for name, wanted in (to_stdout | {"--stream": arguments.stream}).items() if wanted]
    if len(both) > 1:
        raise InputError(f"{' and '.join(both)} both write to stdout: name a file for --json")
    if arguments.host_tinydet is not None and arguments.host is None:
        raise InputError("--host-tinydet says where tinydet is on a host, and there is no --host")
    for target in (arguments.json, arguments.report):
        if target is not None and Path(target).is_dir():
            raise InputError(f"cannot write file {target}: it is a folder")
    dataset = None if arguments.data is None else read_images(arguments.data, split=arguments.split)
    for note in dataset.notes if dataset is not None else ():
        terminal.say(f"note: {note}")
    terminal.prepare_json_target(arguments.json)
    terminal.prepare_json_target(arguments.report)
    return dataset


@dataclass(frozen=True, kw_only=True)
class _Measured:
    content: dict[str, Any]
    """`Profile.as_dict()`."""
    report_html: str | None = None
    """With pictures, where there are any."""
    broken: str | None = None
    """Why it is not complete."""


def _here(arguments: Namespace, dataset: Dataset | None) -> _Measured:
    from tinydet.boards.profiling.profiler import dataset_frames, noise_frames, profile_artifacts
    from tinydet.boards.report.page import report_html
    from tinydet.edge.commands import terminal

    frames = noise_frames() if dataset is None else dataset_frames(dataset)
    labelled = dataset if dataset is not None and dataset.object_count else None
    if labelled is None:
        terminal.say(f"note: frames are {frames.description}; no labels, so no accuracy (--data DATA brings both)")

    def stream(profile: Profile) -> None:
        terminal.deliver_line(profile.as_dict())

    with terminal.console().status("") as status:
        profile = profile_artifacts(
            arguments.artifacts,
            frames=frames,
            seconds=arguments.seconds if arguments.sustained is None else arguments.sustained * 60,
            sustained=arguments.sustained is not None,
            threads=arguments.threads,
            device=arguments.device,
            dataset=labelled,
            on_turn=status.update,
            on_profile=stream if arguments.stream else None,
        )
    content = profile.as_dict()
    if arguments.report is None:
        return _Measured(content=content)
    pictured, pictures = _pictures(profile, labelled)
    return _Measured(content=content, report_html=report_html(content, pictures, pictured))


def _there(arguments: Namespace, dataset: Dataset | None) -> _Measured:
    from tinydet.boards.profiling.remote import profile_on_host
    from tinydet.edge.commands import terminal

    seconds, minutes, threads = arguments.seconds, arguments.sustained, arguments.threads
    options = ["--seconds", str(seconds)] if minutes is None else ["--sustained", str(minutes)]
    options += [] if threads is None else ["--threads", str(threads)]
    options += [] if arguments.device is None else ["--device", arguments.device]
    with terminal.console().status(f"to {arguments.host}") as status:
        remote = profile_on_host(
            arguments.host,
            arguments.artifacts,
            options=options,
            dataset=dataset,
            with_report=arguments.report is not None,
            tinydet=arguments.host_tinydet or "tinydet",
            on_profile=lambda content: status.update(f"{arguments.host}: {_progress(content)}"),
        )
    return _Measured(content=remote.content, report_html=remote.report_html, broken=remote.broken)


def _progress(content: Mapping[str, Any]) -> str:
    turns = sum(len(row["turns"]) for row in content["artifacts"])
    scored = sum(row["accuracy"] is not None for row in content["artifacts"])
    return f"{turns} turns" + (f", accuracy of {scored} artifacts" if scored else "")


def _pictures(profile: Profile, dataset: Dataset | None) -> tuple[str, list[Picture]]:
    """Of the artifact with the best AP."""
    from tinydet.boards.report.pictures import best_and_worst
    from tinydet.edge.detection.detector import Detector

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
    """A column for each artifact, a row for each figure, while that fits; else the figures that one flies by."""
    from rich.markup import escape
    from rich.table import Table

    from tinydet.boards.profiling.percentiles import time_ratio
    from tinydet.boards.report.markdown import number
    from tinydet.boards.report.page import infer_rounds_ms, summary_rows
    from tinydet.edge.commands.terminal import metric_text

    table = Table()
    if len(content["artifacts"]) > MOST_COLUMNS:
        table.add_column("", no_wrap=True)
        for name in ("AP", "APt", "infer p50, ms", "infer ratio", "total p95, ms", "FPS", "MiB", "W"):
            table.add_column(name, justify="right")
        first = infer_rounds_ms(content["artifacts"][0])
        for row in content["artifacts"]:
            accuracy = row["accuracy"] or {}
            table.add_row(
                escape(Path(row["artifact"]).name),
                metric_text(accuracy.get("AP")),
                metric_text(accuracy.get("APt")),
                number(row["stages"]["infer"]["p50_ms"], 1),
                number(time_ratio(first, infer_rounds_ms(row)), 2),
                number(row["stages"]["total"]["p95_ms"], 1),
                number(row["frames_per_s"], 1),
                number(row["memory_mib"]["peak"], 0),
                number(row["sensors"]["power_w"], 2),
            )
        return table
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

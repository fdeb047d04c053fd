"""`tinydet profile`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.command import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from boards.profiler import ArtifactProfile, Profile

DEFAULT_SECONDS = 5.0


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("artifacts", metavar="ARTIFACT", nargs="+", help="model files, or bundled sizes")
    parser.add_argument(
        "--data", metavar="DATA", type=Path, help="frames to time on, and labels to measure accuracy by"
    )
    parser.add_argument("--split", default="val", help="which annotations of a data set folder (default: val)")
    parser.add_argument(
        "--seconds", metavar="N", type=float, default=DEFAULT_SECONDS, help="time each artifact that long (default: 5)"
    )
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the result as JSON (default: stdout)"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads (default: the runtime's choice)")


def _run(arguments: Namespace) -> None:
    from boards.profiler import dataset_frames, noise_frames, profile_artifacts
    from edge import terminal
    from edge.formats import read_dataset

    terminal.check_json_target(arguments.json)
    dataset = None if arguments.data is None else read_dataset(arguments.data, split=arguments.split)
    frames = noise_frames() if dataset is None else dataset_frames(dataset)
    labelled = dataset if dataset is not None and dataset.object_count else None
    for note in dataset.notes if dataset is not None else ():
        terminal.say(f"note: {note}")
    if labelled is None:
        terminal.say(f"note: frames are {frames.description}; no labels, so no accuracy (--data DATA brings both)")
    terminal.prepare_json_target(arguments.json)

    with terminal.console().status("") as status:
        profile = profile_artifacts(
            arguments.artifacts,
            frames=frames,
            seconds=arguments.seconds,
            threads=arguments.threads,
            dataset=labelled,
            on_turn=status.update,
        )

    terminal.print_table(_table(profile.artifacts))
    for line in _protocol_lines(profile):
        terminal.say(line)
    terminal.deliver_json(profile.as_dict(), arguments.json)
    terminal.say(f"next: tinydet detect {arguments.artifacts[-1]} YOUR-IMAGES --save runs/detections")


def _table(profiles: Sequence[ArtifactProfile]) -> Table:
    """A column for each artifact, a row for each figure: three artifacts fit any terminal."""
    from rich.markup import escape
    from rich.table import Table

    from boards.profiler import STAGES
    from edge.accuracy import METRIC_KEYS
    from edge.terminal import metric_text

    table = Table()
    table.add_column("")
    for profile in profiles:
        table.add_column(escape(Path(profile.artifact).name), justify="right", overflow="fold")

    def add(name: str, values: Sequence[str], *, last: bool = False) -> None:
        table.add_row(name, *values, end_section=last)

    add("precision", [profile.precision for profile in profiles])
    sizes = ["-" if profile.size_bytes is None else f"{profile.size_bytes / 1e6:.1f}" for profile in profiles]
    add("file, MB", sizes, last=True)
    accuracies = [profile.accuracy for profile in profiles]
    if any(accuracy is not None for accuracy in accuracies):
        for key in METRIC_KEYS:
            values = ["-" if accuracy is None else metric_text(accuracy.overall[key]) for accuracy in accuracies]
            add(key, values, last=key == METRIC_KEYS[-1])
    for stage in STAGES:
        stages = [profile.stages[stage] for profile in profiles]
        add(f"{stage}, ms p50 / p95", [f"{s.p50_ms:.2f} / {s.p95_ms:.2f}" for s in stages])
    if len(profiles) > 1:
        first = profiles[0].stages["infer"].p50_ms
        add("infer, ratio to the first", [f"{profile.stages['infer'].p50_ms / first:.2f}" for profile in profiles])
    add("frames a second, end to end", [f"{profile.frames_per_s:.1f}" for profile in profiles])
    add("objects a frame", [f"{profile.objects_per_frame:.1f}" for profile in profiles])
    return table


def _protocol_lines(profile: Profile) -> list[str]:
    machine, protocol = profile.machine, profile.protocol
    runtimes = sorted({f"{row.runtime} ({row.provider})" for row in profile.artifacts})
    threads = protocol["threads"] or "as the runtime chooses"
    return [
        f"on {machine.name}, {machine.cores} cores, {machine.architecture}, {machine.system}; {', '.join(runtimes)}",
        f"frames: {protocol['frames']}; threads: {threads}, spinning off; batch 1",
        f"{protocol['seconds_per_artifact']:g} s an artifact in {protocol['rounds_interleaved']} rounds, taking turns, "
        f"one session open at a time, {protocol['warm_up_frames_per_round']} warm-up frames a round; "
        f"timed: {protocol['timed']}",
    ]


COMMAND = Command(
    name="profile",
    help="measure what artifacts cost here: time by stage, frames a second, size, accuracy",
    example="tinydet profile n-640px-fp32.onnx n-640px-int8.onnx --data datasets/flights --json runs/profile.json",
    add_arguments=_add_arguments,
    run=_run,
)

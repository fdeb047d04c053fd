"""`tinydet parity`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import add_json_argument, whole_number

if TYPE_CHECKING:
    from tinydet.converters.parity import ParityReport

EXIT_VIOLATION = 1


def _add_arguments(parser: ArgumentParser) -> None:
    from tinydet.edge.runtimes.runtime import MOST_THREADS

    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of artifacts of one checkpoint and input size")
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=Path,
        required=True,
        help="labelled data set to compare on",
    )
    parser.add_argument("--split", default="val", help="split of the data set (default: val)")
    add_json_argument(parser)
    parser.add_argument(
        "--threads",
        metavar="N",
        type=whole_number(1, MOST_THREADS),
        help="CPU threads of each runtime (default: its choice)",
    )


def _run(arguments: Namespace) -> int:

    from tinydet.converters.parity import find_artifacts, measure_parity
    from tinydet.edge.datasets.reading import read_dataset

    terminal.check_json_target(arguments.json)
    paths = find_artifacts(arguments.folder)
    dataset = read_dataset(arguments.data, split=arguments.split)
    terminal.say_notes(dataset.notes)
    terminal.prepare_json_target(arguments.json)
    progress = partial(terminal.track, description="comparing")
    parity = measure_parity(paths, dataset, progress, threads=arguments.threads)
    terminal.print_table(_artifact_table(parity, f"{arguments.folder} on {dataset.path}: {parity.images} images"))
    terminal.print_table(_pair_table(parity))
    terminal.deliver_json(parity.as_dict(), arguments.json)
    violations = parity.violations()
    for line in violations:
        terminal.say(f"parity violated: {line}")
    if not violations:
        terminal.say("the INT8 artifacts on the shared grid agree")
    return EXIT_VIOLATION if violations else 0


def _artifact_table(parity: ParityReport, title: str) -> Table:

    from tinydet.edge.evaluation.average_precision import METRIC_KEYS

    short = _short_names(parity)
    metrics = {facts.name: facts.accuracy.overall if facts.accuracy else {} for facts in parity.artifacts}
    keys = [key for key in METRIC_KEYS if any(values.get(key) is not None for values in metrics.values())]
    table = Table(title=escape(title), title_justify="left", padding=(0, 0, 0, 1))
    for column in ("artifact", "runtime", "grids", "in float"):
        table.add_column(column, justify="left" if column in ("artifact", "runtime") else "right", overflow="fold")
    for key in keys:
        table.add_column(key, justify="right", no_wrap=True, min_width=5)
    for facts in parity.artifacts:
        grids = "-" if facts.grid is None else f"{len(facts.grid)}{'' if facts.on_shared_grid else ' own'}"
        in_float = "-" if facts.float_operators is None else str(facts.float_operators)
        row = [terminal.metric_text(metrics[facts.name].get(key)) for key in keys]
        table.add_row(escape(short[facts.name]), facts.runtime, grids, in_float, *row)
    return table


def _short_names(parity: ParityReport) -> dict[str, str]:
    """Names without network and size (`int8.onnx` of `n-640px-int8.onnx`) where these are still different."""
    short = {facts.name: facts.name.rpartition("px-")[2] for facts in parity.artifacts}
    return short if len(set(short.values())) == len(short) else {name: name for name in short}


def _pair_table(parity: ParityReport) -> Table:

    short = _short_names(parity)
    table = Table(title="difference of raw outputs in LSB, for the output where it is largest", title_justify="left")
    for column in ("pair", "", "mean", "p99", "max", "agree"):
        table.add_column(column, justify="left" if column in ("pair", "") else "right", no_wrap=True)
    for pair in parity.pairs:
        lsb = ["-" if value is None else f"{value:.2f}" for value in (pair.lsb_mean, pair.lsb_p99, pair.lsb_max)]
        table.add_row(escape(short[pair.first]), escape(short[pair.second]), *lsb, f"{pair.agreement:.1%}")
    return table


COMMAND = Command(
    name="parity",
    help="check that artifacts of one checkpoint detect the same (grids, raw outputs, detections, AP); exit 1 if not",
    example="tinydet parity artifacts --data datasets/aerial-vehicles/tiny --json runs/parity.json",
    add_arguments=_add_arguments,
    run=_run,
)

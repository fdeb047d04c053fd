"""What `quantize`, `export` and `sensitivity` have in common: what they read, and the accuracy gate they end with."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tinydet.edge.commands.options import LARGEST_SIDE_PX
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown

if TYPE_CHECKING:
    from rich.table import Table

    from tinydet.edge.datasets.dataset import Dataset
    from tinydet.edge.evaluation.average_precision import Accuracy
    from tinydet.quantization.gate import Gate, Line
    from tinydet.quantization.ptq import QuantizedNetwork
    from tinydet.training.checkpoint import LoadedDetector

EXIT_GATE = 3


def add_calibration_arguments(parser: ArgumentParser, *, required: bool) -> None:
    """--calibration, --data, --float-blocks and --size."""
    note = "" if required else "for int8: "
    parser.add_argument(
        "--calibration",
        metavar="DIR",
        type=Path,
        required=required,
        help=f"{note}folder of images, or data set folder (its train split)",
    )
    parser.add_argument(
        "--data", metavar="DATA", type=Path, help="what AP is measured on (default: val of the calibration data set)"
    )
    parser.add_argument(
        "--float-blocks",
        metavar="NAMES",
        help="blocks to leave in float, by name, such as cem,fbsm.0 (see sensitivity)",
    )
    parser.add_argument(
        "--size", metavar="PX", help="side of the input, or WIDTHxHEIGHT as in 640x384 for 16:9 (default: as trained)"
    )


def add_gate_arguments(parser: ArgumentParser) -> None:
    """--allow-drop."""
    parser.add_argument(
        "--allow-drop", action="store_true", help="exit with 0 even if INT8 loses more AP than the gate allows"
    )


def names_of(text: str | None) -> tuple[str, ...]:
    """The names of a comma-separated list."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def load_model(model: str) -> tuple[LoadedDetector, QuantizedNetwork | None]:
    """A checkpoint, with the INT8 network where it is a quantized one. Raises `InputError` for anything else."""
    from tinydet.edge.runtimes.opening import model_path
    from tinydet.quantization.quantized_file import is_quantized, load_quantized
    from tinydet.training.checkpoint import load_detector

    path = model_path(model)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot use {path}: expected a checkpoint (.safetensors) or a bundled size")
    if is_quantized(path):
        state = load_quantized(path)
        return state.loaded, state.network
    return load_detector(path), None


def input_hw_of(loaded: LoadedDetector, size: str | None) -> tuple[int, int]:
    """The input's height and width; `size` is as in --size. Raises `InputError` when the strides do not divide it."""
    from tinydet.quantization.export_graph import check_input_hw

    match = re.fullmatch(r"([0-9]{1,4})(?:x([0-9]{1,4}))?", str(loaded.input_px) if size is None else size)
    if match is None or not all(0 < int(side) <= LARGEST_SIDE_PX for side in match.groups() if side is not None):
        raise InputError(f"--size: expected at most {LARGEST_SIDE_PX} pixels, as in 384 or 640x384, got {shown(size)}")
    input_hw = int(match[2] or match[1]), int(match[1])
    check_input_hw(input_hw)
    return input_hw


def gate_data(data: Path | None, calibration: Path | None) -> Dataset | None:
    """What the gate is judged on: `data`, else val of the calibration data set; None where there is neither."""
    from tinydet.edge.datasets.reading import read_dataset, splits_of

    if data is not None:
        return read_dataset(data)
    if calibration is not None and "val" in splits_of(calibration):
        return read_dataset(calibration)
    return None


def pass_gate(
    gate: Gate,
    fp32: Accuracy,
    int8: Mapping[str, Accuracy],
    *,
    allow_drop: bool,
    blame: Callable[[], str],
) -> int:
    """Show FP32 against every INT8 file and say what is over the limits; returns the exit code.

    `blame` names the most sensitive blocks; it takes a minute, and is asked only when something failed.
    """
    from tinydet.edge.commands import terminal

    judged = {name: gate.judge(fp32, accuracy) for name, accuracy in int8.items()}
    terminal.print_table(_gate_table(judged))
    if not gate.reliable:
        terminal.say("note: no class has 50 objects in the data: the gate is a rough guess")
    failed = [
        f"{name}: {line.name} {100 * line.int8:.1f}, FP32 {100 * line.fp32:.1f}: "
        f"lost {100 * line.drop:.1f} points, {100 * line.limit:.1f} are allowed"
        for name, lines in judged.items()
        for line in lines
        if not line.passes
    ]
    for text in failed:
        terminal.say(f"accuracy gate: {text}")
    if not failed:
        return 0
    terminal.say(
        f"most sensitive blocks: {blame()}; leave them in float with --float-blocks, or fine-tune: --method qat"
    )
    return 0 if allow_drop else EXIT_GATE


def _gate_table(judged: Mapping[str, list[Line]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    lines = next(iter(judged.values()))
    table = Table(title="accuracy gate: AP in points, of classes with 50 objects or more", title_justify="left")
    table.add_column("")
    for line in lines:
        table.add_column(f"{line.name} ({line.objects})", justify="right")
    table.add_row("FP32", *(f"{100 * line.fp32:.1f}" for line in lines))
    for name, of_file in judged.items():
        cells = [f"{100 * line.int8:.1f} ({-100 * line.drop:+.1f}){'' if line.passes else ' !'}" for line in of_file]
        table.add_row(escape(name), *cells)
    table.add_row("allowed", *(f"{-100 * line.limit:+.1f}" for line in lines))
    return table

"""Arguments, inputs and the accuracy gate that `quantize`, `export` and `sensitivity` share."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from tinydet.edge.commands import terminal
from tinydet.edge.commands.options import LARGEST_SIDE_PX
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown

if TYPE_CHECKING:
    from tinydet.edge.datasets.dataset import Dataset
    from tinydet.edge.evaluation.average_precision import Accuracy
    from tinydet.quantization.gate import Comparison, Gate
    from tinydet.quantization.ptq import QuantizedNetwork
    from tinydet.training.checkpoint import LoadedDetector

EXIT_GATE = 3


def add_calibration_arguments(parser: ArgumentParser, *, required: bool) -> None:
    """Add --calibration, --data and --size."""
    parser.add_argument(
        "--calibration",
        metavar="DIR",
        type=Path,
        required=required,
        help=f"{'' if required else 'for int8: '}folder of images like those the drone will see, or a data set (its "
        "train split); 8 images or more",
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=Path,
        help="labelled data set to measure AP on (default: val of the calibration data set)",
    )
    parser.add_argument(
        "--size",
        metavar="PX",
        help="input size: 640, or width x height as in 640x384; multiples of 64 (default: as trained)",
    )


def add_int8_arguments(parser: ArgumentParser) -> None:
    """Add --float-blocks and --allow-drop."""
    parser.add_argument(
        "--float-blocks",
        metavar="NAMES",
        help="blocks to keep in float, such as cem,fbsm.0 (`tinydet sensitivity` ranks them)",
    )
    parser.add_argument(
        "--allow-drop",
        action="store_true",
        help="exit with 0 instead of 3 when INT8 loses more AP than the accuracy gate allows",
    )


def split_names(text: str | None) -> tuple[str, ...]:
    """Split a comma-separated list of names."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def load_model(model: str) -> tuple[LoadedDetector, QuantizedNetwork | None]:
    """Load a checkpoint, and the INT8 network if it is a quantized one. Raises `InputError` for anything else."""
    from tinydet.quantization.quantized_file import is_quantized, load_quantized
    from tinydet.training.checkpoint import load_detector

    path = _checkpoint_path(model)
    if is_quantized(path):
        file = load_quantized(path)
        return file.loaded, file.network
    return load_detector(path), None


def load_float_model(model: str) -> LoadedDetector:
    """Load a float checkpoint. Raises `InputError` for anything else."""
    from tinydet.training.checkpoint import load_detector

    return load_detector(_checkpoint_path(model))


def _checkpoint_path(model: str) -> Path:
    from tinydet.edge.runtimes.opening import model_path

    path = model_path(model)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot use {path}: expected a checkpoint (.safetensors) or a bundled model such as n")
    return path


def parse_input_size(loaded: LoadedDetector, size: str | None) -> tuple[int, int]:
    """Height and width of the input from --size. Raises `InputError` when a side is not a multiple of 64."""
    from tinydet.quantization.export_graph import check_input_hw

    match = re.fullmatch(r"([0-9]{1,4})(?:x([0-9]{1,4}))?", str(loaded.input_px) if size is None else size)
    if match is None or not all(0 < int(side) <= LARGEST_SIDE_PX for side in match.groups() if side is not None):
        raise InputError(f"--size: expected at most {LARGEST_SIDE_PX} pixels, as in 384 or 640x384, got {shown(size)}")
    input_hw = int(match[2] or match[1]), int(match[1])
    check_input_hw(input_hw)
    return input_hw


def gate_data(data: Path | None, calibration: Path | None, loaded: LoadedDetector) -> Dataset | None:
    """Read the data for the accuracy gate: `data`, else val of the calibration data set; None if there is neither.

    None also for a calibration data set without objects of the model's classes. All images are read once, so that a
    broken one is found before anything is written.

    Raises:
        InputError: it cannot be read, an image is broken, or `data` has nothing to score.
    """
    from concurrent.futures import ThreadPoolExecutor

    from tinydet.edge.datasets.dataset import ImageRecord, read_record
    from tinydet.edge.datasets.reading import read_dataset, splits_of
    from tinydet.edge.evaluation.evaluate import check_objects, match_classes

    def check(record: ImageRecord) -> None:
        read_record(record)

    source = data or (calibration if calibration is not None and "val" in splits_of(calibration) else None)
    if source is None:
        return None
    dataset = read_dataset(source)
    try:
        check_objects(dataset)
        match_classes(loaded.model.config.class_names, dataset.class_names)
    except InputError:
        if data is None:
            return None
        raise
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(check, dataset.images):
            pass
    return dataset


def apply_gate(
    gate: Gate,
    fp32: Accuracy,
    int8: Mapping[str, Accuracy],
    *,
    allow_drop: bool,
    find_most_sensitive: Callable[[], str],
) -> int:
    """Compare FP32 with INT8 artifacts by name, show the result, and return the exit code.

    `find_most_sensitive` names the most sensitive blocks; it takes a minute and is called only when the gate fails.
    """

    compared = {name: gate.compare(fp32, accuracy) for name, accuracy in int8.items()}
    terminal.print_table(_gate_table(compared))
    if not gate.reliable:
        terminal.say("note: no class has 50 objects in the data, so the accuracy gate is only a rough guide")
    failed = [
        f"{name}: {metric.name} fell by {100 * metric.drop:.1f} points, from {100 * metric.fp32:.1f} to "
        f"{100 * metric.int8:.1f}; {100 * metric.limit:.1f} are allowed"
        for name, metrics in compared.items()
        for metric in metrics
        if not metric.passes
    ]
    for text in failed:
        terminal.say(f"accuracy gate failed: {text}")
    if not failed:
        return 0
    terminal.say(
        f"most sensitive blocks: {find_most_sensitive()}; keep them in float with --float-blocks, or fine-tune: "
        "tinydet quantize --method qat"
    )
    return 0 if allow_drop else EXIT_GATE


def _gate_table(compared: Mapping[str, list[Comparison]]) -> Table:

    columns = next(iter(compared.values()))
    heads = [f"{column.name} ({column.objects})" for column in columns]
    table = terminal.new_table("", *heads, title="accuracy gate: AP in points, of classes with 50 objects or more")
    table.add_row("FP32", *(f"{100 * column.fp32:.1f}" for column in columns))
    for name, metrics in compared.items():
        cells = [f"{100 * each.int8:.1f} ({-100 * each.drop:+.1f}){'' if each.passes else ' !'}" for each in metrics]
        table.add_row(escape(name), *cells)
    table.add_row("allowed", *(f"{-100 * column.limit:+.1f}" for column in columns))
    return table

"""`tinydet sensitivity`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydet.converters.commands.shared import gate_data, input_hw_of, load_model
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import MOST_IMAGES, whole_number
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from tinydet.edge.datasets.dataset import Dataset
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.ptq import QuantizedNetwork
    from tinydet.quantization.sensitivity import BlockSensitivity
    from tinydet.training.checkpoint import LoadedDetector

FIDELITY_IMAGES = 4


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="float checkpoint (.safetensors), or a bundled size")
    parser.add_argument(
        "--calibration", metavar="DIR", type=Path, required=True, help="folder of images, or data set folder"
    )
    parser.add_argument("--data", metavar="DATA", type=Path, help="for AP (default: val of the calibration data set)")
    parser.add_argument(
        "--images",
        metavar="N",
        type=whole_number(1, MOST_IMAGES),
        help="measure AP on so many images only (default: all)",
    )
    parser.add_argument("--figure", metavar="FILE.png", type=Path, help="draw the ranking")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the result as JSON (default: stdout)"
    )


def _run(arguments: Namespace) -> None:
    from functools import partial
    from itertools import islice

    from tinydet.edge.commands import terminal
    from tinydet.quantization.calibration import find_calibration_images
    from tinydet.quantization.calibration_methods import OutputFidelity
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.ptq import by_method, observed
    from tinydet.quantization.ranges import METHODS
    from tinydet.quantization.sensitivity import measure_sensitivity, sensitivity_as_dict, write_figure
    from tinydet.training.engine.memory import keep_freed_memory

    terminal.check_json_target(arguments.json)
    terminal.check_json_target(None if arguments.figure is None else str(arguments.figure), "--figure", (".png",))
    loaded, quantized = load_model(arguments.model)
    if quantized is not None:
        raise InputError(f"{arguments.model} is quantized already: give the float checkpoint it was made from")
    input_hw = input_hw_of(loaded, None)
    images = find_calibration_images(arguments.calibration)
    dataset = gate_data(arguments.data, arguments.calibration)
    if dataset is not None and arguments.images is not None:
        if arguments.images < 1:
            raise InputError(f"--images is 1 or more, got {arguments.images}")
        dataset = replace(dataset, images=dataset.images[: arguments.images])
    terminal.prepare_json_target(arguments.json)
    keep_freed_memory()
    calibration = observed(
        loaded.model, images, input_hw=input_hw, progress=partial(terminal.track, description="calibrating")
    )
    network = by_method(calibration, images, METHODS[0])
    fidelity = OutputFidelity(loaded.model, list(islice(images.letterboxed(input_hw), FIDELITY_IMAGES)))
    score = None if dataset is None else partial(_ap, loaded, dataset, Gate(dataset), input_hw)
    fp32 = 0.0 if score is None else score(None)
    whole_db = fidelity.sqnr_db(network.graph)
    whole = None if score is None else fp32 - score(network)
    entries = measure_sensitivity(
        calibration,
        fidelity,
        network,
        fp32_ap=fp32,
        score=score,
        progress=partial(terminal.track, description="blocks"),
    )
    terminal.print_table(_table(entries, fp32, whole, whole_db))
    if arguments.figure is not None:
        write_figure(arguments.figure, entries)
        terminal.say(f"wrote {arguments.figure}")
    content = {"fp32_ap": fp32, "all": {"sqnr_db": whole_db, "drop": whole}, "blocks": sensitivity_as_dict(entries)}
    terminal.deliver_json(content, arguments.json)
    terminal.say("blocks are left in float by name: tinydet export ... --float-blocks NAME,NAME")


def _ap(
    loaded: LoadedDetector, dataset: Dataset, judge: Gate, input_hw: tuple[int, int], network: QuantizedNetwork | None
) -> float:
    """AP, 0 to 1, of the classes that count."""
    from tinydet.converters.network_accuracy import measure_network

    return judge.overall(measure_network(loaded, network, dataset, input_hw=input_hw))


def _table(entries: list[BlockSensitivity], fp32: float, whole: float | None, whole_db: float) -> Table:
    from rich.table import Table

    from tinydet.quantization.sensitivity import title_of

    table = Table(title=f"each block alone in INT8, the rest float (FP32: AP {100 * fp32:.1f})", title_justify="left")
    for column in ("block", "AP lost, points", "SQNR, dB"):
        table.add_column(column, justify="left" if column == "block" else "right")
    for entry in entries:
        table.add_row(title_of(entry.block), _points(entry.drop), f"{entry.sqnr_db:.1f}")
    table.add_section()
    table.add_row("all of them", _points(whole), f"{whole_db:.1f}")
    return table


def _points(drop: float | None) -> str:
    return "-" if drop is None else f"{100 * drop:+.2f}"


COMMAND = Command(
    name="sensitivity",
    help="rank the network's blocks by what INT8 costs each: AP and noise of the raw outputs",
    example="tinydet sensitivity n --calibration datasets/flights --figure runs/sensitivity.png",
    add_arguments=_add_arguments,
    run=_run,
)

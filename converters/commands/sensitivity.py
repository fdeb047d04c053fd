"""`tinydet sensitivity`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from tinydet.converters.commands.shared import (
    add_calibration_arguments,
    gate_data,
    load_float_model,
    parse_input_size,
)
from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import MOST_IMAGES, add_json_argument, whole_number

if TYPE_CHECKING:
    from tinydet.quantization.sensitivity import BlockSensitivity


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="float checkpoint (.safetensors) or a bundled model (n, s)")
    add_calibration_arguments(parser, required=True)
    parser.add_argument(
        "--images",
        metavar="N",
        type=whole_number(1, MOST_IMAGES),
        help="measure AP on the first N images of the data only (default: all)",
    )
    parser.add_argument("--figure", metavar="FILE.png", type=Path, help="draw the ranking into a file")
    add_json_argument(parser)


def _run(arguments: Namespace) -> None:

    from tinydet.converters.network_accuracy import measure_ap
    from tinydet.quantization.calibration import find_calibration_images
    from tinydet.quantization.calibration_methods import OutputFidelity
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.ptq import calibrate, quantized_network
    from tinydet.quantization.ranges import METHODS
    from tinydet.quantization.sensitivity import (
        SENSITIVITY_IMAGES,
        measure_sensitivity,
        sensitivity_as_dict,
        write_figure,
    )
    from tinydet.training.engine.memory import keep_freed_memory

    terminal.check_json_target(arguments.json)
    terminal.check_json_target(None if arguments.figure is None else str(arguments.figure), "--figure", (".png",))
    loaded = load_float_model(arguments.model)
    input_hw = parse_input_size(loaded, arguments.size)
    images = find_calibration_images(arguments.calibration)
    dataset = gate_data(arguments.data, arguments.calibration, loaded)
    if dataset is not None and arguments.images is not None:
        dataset = replace(dataset, images=dataset.images[: arguments.images])
    terminal.prepare_json_target(arguments.json)
    keep_freed_memory()
    terminal.say(f"calibrating on {len(images.paths)} images of {arguments.calibration}")
    track = partial(terminal.track, description="calibrating")
    calibration = calibrate(loaded.model, images, input_hw=input_hw, progress=track)
    network = quantized_network(calibration, images, METHODS[0])
    fidelity = OutputFidelity(loaded.model, list(islice(images.letterboxed(input_hw), SENSITIVITY_IMAGES)))
    score = None if dataset is None else partial(measure_ap, loaded, gate=Gate(dataset), input_hw=input_hw)
    fp32_ap = 0.0 if score is None else score(None)
    whole_drop = None if score is None else fp32_ap - score(network)
    whole_db = fidelity.sqnr_db(network.graph)
    entries = measure_sensitivity(
        calibration,
        fidelity,
        network,
        fp32_ap=fp32_ap,
        score=score,
        progress=partial(terminal.track, description="measuring blocks"),
    )
    terminal.print_table(_table(entries, fp32_ap, whole_drop, whole_db))
    if arguments.figure is not None:
        write_figure(arguments.figure, entries)
        terminal.say(f"wrote {arguments.figure}")
    whole = {"sqnr_db": whole_db, "drop": whole_drop}
    terminal.deliver_json({"fp32_ap": fp32_ap, "all": whole, "blocks": sensitivity_as_dict(entries)}, arguments.json)
    terminal.say("next, to keep blocks in float: tinydet export ... --float-blocks NAME,NAME")


def _table(entries: list[BlockSensitivity], fp32_ap: float, whole_drop: float | None, whole_db: float) -> Table:
    from tinydet.quantization.sensitivity import block_title

    title = f"each block alone in INT8, the rest in float (FP32: AP {100 * fp32_ap:.1f})"
    table = terminal.new_table("block", "AP lost, points", "SQNR, dB", title=title)
    for entry in entries:
        table.add_row(block_title(entry.block), _points(entry.drop), f"{entry.sqnr_db:.1f}")
    table.add_section()
    table.add_row("all together", _points(whole_drop), f"{whole_db:.1f}")
    return table


def _points(drop: float | None) -> str:
    return "-" if drop is None else f"{100 * drop:+.2f}"


COMMAND = Command(
    name="sensitivity",
    help="rank the network's blocks by the AP and the output noise that INT8 costs each",
    example="tinydet sensitivity n --calibration datasets/aerial-vehicles/tiny --figure runs/sensitivity.png",
    add_arguments=_add_arguments,
    run=_run,
)

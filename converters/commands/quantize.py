"""`tinydet quantize`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydet.converters.commands.shared import (
    add_calibration_arguments,
    add_int8_arguments,
    apply_gate,
    gate_data,
    load_float_model,
    parse_input_size,
    split_names,
)
from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from tinydet.quantization.calibration import CalibrationImages
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.ptq import Calibration, QuantizedNetwork
    from tinydet.quantization.qat_recipe import QatRecipe
    from tinydet.training.checkpoint import LoadedDetector

FIDELITY_IMAGES = 8
AP_MARGIN = 0.005
"""On 50 photographs min-max was 0.7 points ahead of mse, and 0.2 behind once boxes were averaged: less is chance."""
SQNR_MARGIN_DB = 0.5


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="float checkpoint (.safetensors) or a bundled model (n, s)")
    parser.add_argument(
        "--method",
        choices=("ptq", "qat"),
        default="ptq",
        help="ptq: calibrate on images, in minutes (default); qat: calibrate, then fine-tune by a recipe",
    )
    add_calibration_arguments(parser, required=True)
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help="for qat: recipe file, or the name of a bundled one such as qat-n (`tinydet recipes` lists them)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="for qat: set a field of the recipe, such as schedule.epochs=3; may be repeated",
    )
    parser.add_argument(
        "--resume", action="store_true", help="for qat: continue the run in --out from its last complete epoch"
    )
    add_int8_arguments(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the quantized network")


def _run(arguments: Namespace) -> int:

    from tinydet.converters.network_accuracy import measure_network
    from tinydet.converters.target import file_name
    from tinydet.edge.files.folder_lock import locked_folder
    from tinydet.quantization.calibration import find_calibration_images
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.ptq import calibrate
    from tinydet.quantization.qat import check_can_start
    from tinydet.quantization.quantized_file import save_quantized
    from tinydet.quantization.sensitivity import find_most_sensitive
    from tinydet.training.engine.memory import keep_freed_memory

    # Check all inputs first: the rest takes minutes, and writes.
    loaded = load_float_model(arguments.model)
    input_hw = parse_input_size(loaded, arguments.size)
    recipe = _recipe(arguments)
    images = find_calibration_images(arguments.calibration)
    dataset = gate_data(arguments.data, arguments.calibration, loaded)
    gate = None if dataset is None else Gate(dataset)
    if recipe is not None:
        check_can_start(recipe, loaded, arguments.out, resume=arguments.resume)
        if gate is None:
            raise InputError("--method qat needs --data DATA with labels: the best epoch is chosen by AP")
    with locked_folder(arguments.out) as folder:
        keep_freed_memory()
        terminal.say(f"calibrating on {len(images.paths)} images of {arguments.calibration}")
        calibration = calibrate(
            loaded.model,
            images,
            input_hw=input_hw,
            float_blocks=split_names(arguments.float_blocks),
            progress=partial(terminal.track, description="calibrating"),
        )
        network, history = _best_ptq(loaded, calibration, images, arguments.calibration)
        if recipe is not None and gate is not None:
            network, history["qat"] = _finetune(loaded, calibration, network, recipe, gate, arguments)
        path = folder / file_name(loaded.model.config.size, input_hw, "int8", "safetensors")
        save_quantized(path, loaded, network, history=history)
        terminal.say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB")
        code = 0
        if gate is None:
            terminal.say("accuracy gate skipped: give --data DATA with labels to compare INT8 with FP32")
        else:
            fp32, int8 = (
                measure_network(
                    loaded,
                    measured,
                    gate.dataset,
                    input_hw=input_hw,
                    progress=partial(terminal.track, description=f"evaluating {name}"),
                )
                for name, measured in (("FP32", None), ("INT8", network))
            )
            track = partial(terminal.track, description="looking for sensitive blocks")
            code = apply_gate(
                gate,
                fp32,
                {network.method.upper(): int8},
                allow_drop=arguments.allow_drop,
                find_most_sensitive=partial(find_most_sensitive, loaded.model, network, images.paths, track),
            )
        data = () if gate is None else ("--data", arguments.data or arguments.calibration)
        terminal.say_next("export", path, "--format", "all", *data, "--out", "DIR")
        return code


def _recipe(arguments: Namespace) -> QatRecipe | None:
    if arguments.method == "ptq":
        for option in ("recipe", "set", "resume"):
            if getattr(arguments, option):
                raise InputError(f"--{option} has no effect with --method ptq: leave it out, or ask for qat")
        return None
    if arguments.recipe is None:
        raise InputError("--method qat needs --recipe RECIPE: a file, or the name of a bundled recipe such as qat-n")
    from tinydet.quantization.qat_recipe import read_qat_recipe
    from tinydet.training.recipes import find_recipe

    return read_qat_recipe(find_recipe(arguments.recipe), overrides=arguments.set)


def _best_ptq(
    loaded: LoadedDetector, calibration: Calibration, images: CalibrationImages, folder: Path
) -> tuple[QuantizedNetwork, dict[str, Any]]:
    """Quantize by every calibration method; returns the best network and the scores.

    The score is AP on images of `folder` that calibration did not use, or the SQNR of the raw outputs if too few of
    them have labels.
    """

    from tinydet.converters.network_accuracy import measure_ap
    from tinydet.quantization.calibration import held_out_part
    from tinydet.quantization.calibration_methods import OutputFidelity, compare_methods
    from tinydet.quantization.gate import Gate

    held_out = held_out_part(folder, images)
    score: Callable[[QuantizedNetwork], float]
    if held_out is not None and set(held_out.class_names) & set(loaded.model.config.class_names):
        measure, margin, unit = f"AP in points on {len(held_out.images)} other images of {folder}", AP_MARGIN, 0.01
        track = partial(terminal.track, description="evaluating")
        score = partial(measure_ap, loaded, gate=Gate(held_out), input_hw=calibration.input_hw, progress=track)
    else:
        measure, margin, unit = (
            "SQNR of the raw outputs in dB (too few other images have labels for AP)",
            SQNR_MARGIN_DB,
            1.0,
        )
        fidelity = OutputFidelity(loaded.model, islice(images.letterboxed(calibration.input_hw), FIDELITY_IMAGES))

        def score(network: QuantizedNetwork) -> float:
            return fidelity.sqnr_db(network.graph)

    def show_score(network: QuantizedNetwork) -> float:
        value = score(network)
        terminal.say(f"  {network.calibration['ranges']}: {value / unit:.2f}")
        return value

    terminal.say(f"comparing calibration methods by {measure}")
    network, scores = compare_methods(calibration, images, show_score, margin=margin)
    terminal.say(f"ranges by {network.calibration['ranges']}")
    return network, {"methods": scores, "measured": measure}


def _finetune(
    loaded: LoadedDetector,
    calibration: Calibration,
    network: QuantizedNetwork,
    recipe: QatRecipe,
    gate: Gate,
    arguments: Namespace,
) -> tuple[QuantizedNetwork, list[dict[str, Any]]]:
    """Fine-tune the calibrated `network`; returns the best network and a row for each epoch."""

    from rich.console import Console
    from rich.progress import Progress as ProgressBar

    from tinydet.converters.network_accuracy import measure_ap
    from tinydet.quantization.qat import Finetuning, QatProgress
    from tinydet.training.engine.state import ap_of

    score = partial(measure_ap, loaded, gate=gate, input_hw=calibration.input_hw)
    run = Finetuning(loaded, calibration, network, recipe, arguments.out, score=score, resume=arguments.resume)
    terminal.say(f"fine-tuning: {recipe.schedule.epochs} epochs of {recipe.schedule.steps_per_epoch} steps")
    console = Console(stderr=True)
    with ProgressBar(console=console) as bar:
        task = bar.add_task("fine-tuning", total=recipe.schedule.total_steps)

        def watch(progress: QatProgress) -> None:
            bar.update(task, completed=progress.step, description=f"loss {progress.losses['loss']:.3f}")
            if progress.row is not None:
                row = progress.row
                console.print(f"epoch {row['epoch']}: loss {row['loss']:.3f}  AP {100 * row['AP']:.2f}")

        best = run.run(watch)
    calibrated_ap, best_ap = ap_of(run.history[0]), max(map(ap_of, run.history))
    terminal.say(f"AP {100 * calibrated_ap:.2f} calibrated, {100 * best_ap:.2f} fine-tuned")
    if best.method == "ptq":
        terminal.say("fine-tuning did not help: the calibrated network is kept")
    return best, run.history


COMMAND = Command(
    name="quantize",
    help="make a checkpoint INT8, by calibration on images or by fine-tuning after it",
    example="""tinydet quantize n --calibration datasets/aerial-vehicles/tiny --out runs/int8
  tinydet quantize n --method qat --recipe qat-n --calibration datasets/aerial-vehicles/tiny --out runs/qat""",
    add_arguments=_add_arguments,
    run=_run,
)

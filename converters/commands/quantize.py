"""`tinydet quantize`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydet.converters.commands.shared import (
    add_calibration_arguments,
    add_gate_arguments,
    gate_data,
    input_hw_of,
    names_of,
    pass_gate,
)
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from tinydet.edge.datasets.dataset import Dataset
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
    parser.add_argument("model", metavar="CHECKPOINT", help="float checkpoint (.safetensors), or a bundled size")
    parser.add_argument(
        "--method",
        choices=("ptq", "qat"),
        default="ptq",
        help="ptq: from calibration images alone, by the best of three methods (default); qat: fine-tuned after that",
    )
    add_calibration_arguments(parser, required=True)
    parser.add_argument(
        "--recipe", metavar="RECIPE.toml", type=Path, help="for qat: what to fine-tune on, for how long"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the fine-tuning in --out from its last epoch")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the quantized network")
    add_gate_arguments(parser)


def _run(arguments: Namespace) -> int:
    from functools import partial

    from tinydet.converters.network_accuracy import measure_network
    from tinydet.converters.target import file_name
    from tinydet.edge.commands import terminal
    from tinydet.edge.files.writing import writable_folder
    from tinydet.quantization.calibration import find_calibration_images
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.ptq import observed
    from tinydet.quantization.qat import check_recipe
    from tinydet.quantization.quantized_file import save_quantized
    from tinydet.training.checkpoint import load_detector
    from tinydet.training.engine.memory import keep_freed_memory

    # Everything that can be wrong is looked at first.
    loaded = load_detector(_checkpoint(arguments.model))
    input_hw = input_hw_of(loaded, arguments.size)
    recipe = _recipe(arguments)
    images = find_calibration_images(arguments.calibration)
    dataset = gate_data(arguments.data, arguments.calibration)
    if recipe is not None:
        check_recipe(recipe, loaded, arguments.out, resume=arguments.resume)
        if dataset is None:
            raise InputError("--method qat needs --data with labels: the best epoch is chosen by AP")
    folder = writable_folder(arguments.out)
    keep_freed_memory()

    terminal.say(f"calibrating on {len(images.paths)} images of {arguments.calibration}")
    calibration = observed(
        loaded.model,
        images,
        input_hw=input_hw,
        float_blocks=names_of(arguments.float_blocks),
        progress=partial(terminal.track, description="calibrating"),
    )
    network, history = _compare(loaded, calibration, images, arguments.calibration)
    judge = None if dataset is None else Gate(dataset)
    if recipe is not None and dataset is not None and judge is not None:
        network, rows = _finetune(loaded, calibration, network, recipe, dataset, judge, arguments)
        history["qat"] = rows
    path = folder / file_name(loaded.model.config.size, input_hw, "int8", "safetensors")
    save_quantized(path, loaded, network, history=history)
    terminal.say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB")
    if dataset is None or judge is None:
        terminal.say("not judged: give --data with labels to compare INT8 with FP32")
        return 0
    track = partial(terminal.track, description="evaluating")
    fp32 = measure_network(loaded, None, dataset, input_hw=input_hw, progress=track)
    int8 = measure_network(loaded, network, dataset, input_hw=input_hw, progress=track)
    code = pass_gate(
        judge,
        fp32,
        {network.method.upper(): int8},
        allow_drop=arguments.allow_drop,
        blame=partial(_blame, loaded, calibration, network, images),
    )
    terminal.say(f"next: tinydet export {path} --format all --data {arguments.data or arguments.calibration} --out DIR")
    return code


def _checkpoint(model: str) -> Path:
    from tinydet.edge.runtimes.opening import model_path

    path = model_path(model)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot quantize {path}: expected a float checkpoint (.safetensors) or a bundled size")
    return path


def _recipe(arguments: Namespace) -> QatRecipe | None:
    from tinydet.quantization.qat_recipe import read_qat_recipe

    if arguments.method == "ptq":
        for option in ("recipe", "set", "resume"):
            if getattr(arguments, option):
                raise InputError(f"--{option} has no effect with --method ptq: leave it out, or ask for qat")
        return None
    if arguments.recipe is None:
        raise InputError("--method qat needs --recipe RECIPE.toml, such as quantization/recipes/qat-n.toml")
    return read_qat_recipe(arguments.recipe, overrides=arguments.set)


def _compare(
    loaded: LoadedDetector, calibration: Calibration, images: CalibrationImages, folder: Path
) -> tuple[QuantizedNetwork, dict[str, object]]:
    """The best calibration method, by AP on images held back, or by fidelity where there are none with labels."""
    from functools import partial
    from itertools import islice

    from tinydet.converters.network_accuracy import measure_network
    from tinydet.edge.commands import terminal
    from tinydet.quantization.calibration import held_part
    from tinydet.quantization.calibration_methods import OutputFidelity, compare_methods
    from tinydet.quantization.gate import Gate

    held = held_part(folder, images)
    if held is not None and set(held.class_names) & set(loaded.model.config.class_names):
        track = partial(terminal.track, description="comparing methods")
        judge = Gate(held)

        def score(network: QuantizedNetwork) -> float:
            return judge.overall(measure_network(loaded, network, held, input_hw=calibration.input_hw, progress=track))

        margin = AP_MARGIN
        what, text = f"AP on {len(held.images)} other images of {folder}", "{:.4f}"
    else:
        fidelity = OutputFidelity(loaded.model, islice(images.letterboxed(calibration.input_hw), FIDELITY_IMAGES))

        def score(network: QuantizedNetwork) -> float:
            return fidelity.sqnr_db(network.graph)

        margin = SQNR_MARGIN_DB
        what, text = "SQNR of the raw outputs in dB (no labelled images left for AP)", "{:.2f}"
    network, scores = compare_methods(calibration, images, score, margin=margin)
    terminal.say(f"{what}: {', '.join(f'{method} {text.format(value)}' for method, value in scores.items())}")
    terminal.say(f"ranges by {network.calibration['ranges']}")
    return network, {"methods": scores, "measured": what}


def _finetune(
    loaded: LoadedDetector,
    calibration: Calibration,
    network: QuantizedNetwork,
    recipe: QatRecipe,
    dataset: Dataset,
    judge: Gate,
    arguments: Namespace,
) -> tuple[QuantizedNetwork, list[dict[str, object]]]:
    from rich.console import Console
    from rich.progress import Progress as ProgressBar

    from tinydet.converters.network_accuracy import measure_network
    from tinydet.edge.commands import terminal
    from tinydet.quantization.qat import Finetuning, QatProgress

    def score(candidate: QuantizedNetwork) -> float:
        return judge.overall(measure_network(loaded, candidate, dataset, input_hw=calibration.input_hw))

    run = Finetuning(loaded, calibration, network, recipe, arguments.out, score=score, resume=arguments.resume)
    console = Console(stderr=True)
    with ProgressBar(console=console) as bar:
        task = bar.add_task("fine-tuning", total=recipe.schedule.total_steps)

        def watch(progress: QatProgress) -> None:
            bar.update(task, completed=progress.step, description=f"loss {progress.losses['loss']:.3f}")
            if progress.row is not None:
                row = progress.row
                console.print(f"epoch {row['epoch']}: loss {row['loss']:.3f}  AP {100 * row['AP']:.2f}")

        best = run.run(watch)
    ptq, reached = run.history[0]["AP"], max(row["AP"] for row in run.history)
    terminal.say(f"AP {100 * ptq:.2f} calibrated, {100 * reached:.2f} fine-tuned")
    if best.method == "ptq":
        terminal.say("fine-tuning did not help: the calibrated network is kept")
    return best, run.history


def _blame(
    loaded: LoadedDetector, calibration: Calibration, network: QuantizedNetwork, images: CalibrationImages
) -> str:
    from itertools import islice

    from tinydet.edge.commands import terminal
    from tinydet.quantization.calibration_methods import OutputFidelity
    from tinydet.quantization.sensitivity import BLAME_IMAGES, measure_sensitivity, most_sensitive

    few = list(islice(images.letterboxed(network.input_hw), BLAME_IMAGES))
    entries = measure_sensitivity(
        calibration,
        OutputFidelity(loaded.model, few),
        network,
        progress=lambda blocks: terminal.track(blocks, "looking for sensitive blocks"),
    )
    return most_sensitive(entries)


COMMAND = Command(
    name="quantize",
    help="make a checkpoint INT8: by calibration, or fine-tuned on the INT8 grid",
    example="""tinydet quantize n --calibration datasets/flights --out runs/int8
  tinydet quantize n --method qat --recipe quantization/recipes/qat-n.toml --calibration flights --out runs/qat""",
    add_arguments=_add_arguments,
    run=_run,
)

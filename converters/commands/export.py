"""`tinydet export`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.command import Command
from edge.errors import InputError

if TYPE_CHECKING:
    from converters.target import Target
    from edge.dataset import Dataset
    from quantization.calibration import CalibrationImages
    from training.checkpoint import LoadedDetector

FORMATS = ("onnx",)
PRECISIONS = ("fp32", "int8")


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="checkpoint (.safetensors), or a bundled size")
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="what to write (default: onnx)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the arithmetic (default: fp32)")
    parser.add_argument(
        "--calibration",
        metavar="DIR",
        type=Path,
        help="for int8: folder of images, or data set folder (its train split)",
    )
    parser.add_argument(
        "--data", metavar="DATA", type=Path, help="measure the artifact's AP on it and record it inside"
    )
    parser.add_argument("--size", metavar="PX", type=int, help="side of the input (default: as trained)")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the artifact")


def _run(arguments: Namespace) -> None:
    from functools import partial

    from converters.target import load_target
    from edge import terminal
    from edge.files import writable_folder
    from edge.formats import read_dataset
    from quantization.network import check_input_hw
    from quantization.ptq import quantize
    from training.engine.memory import keep_freed_memory

    # Everything that can be wrong is looked at first: what follows takes minutes, and writes.
    loaded = _load(arguments.model)
    input_px = loaded.input_px if arguments.size is None else arguments.size
    input_hw = (input_px, input_px)
    check_input_hw(input_hw)
    images = _calibration_images(arguments.precision, arguments.calibration)
    dataset = None if arguments.data is None else read_dataset(arguments.data)
    folder = writable_folder(arguments.out)
    target = load_target(arguments.format)

    quantized = None
    if images is not None:
        keep_freed_memory()
        terminal.say(f"calibrating on {len(images.paths)} images of {arguments.calibration}")
        progress = partial(terminal.track, description="calibrating")
        quantized = quantize(loaded.model, images, input_hw=input_hw, progress=progress)
    path = target.export(loaded, folder, precision=arguments.precision, input_hw=input_hw, quantized=quantized)
    terminal.say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB, {target.summary(path)}")
    if dataset is None:
        terminal.say(f"next: tinydet evaluate {path} DATA")
    else:
        _measure(target, path, dataset)
        terminal.say(f"next: tinydet profile {path} --data {arguments.data}")


def _load(model: str) -> LoadedDetector:
    from edge.runtimes import model_path
    from training.checkpoint import load_detector

    path = model_path(model)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot export {path}: expected a checkpoint (.safetensors) or a bundled size")
    return load_detector(path)


def _calibration_images(precision: str, folder: Path | None) -> CalibrationImages | None:
    from quantization.calibration import find_calibration_images

    if precision == "int8":
        if folder is None:
            raise InputError(
                "--precision int8 needs --calibration DIR: a folder of images like those the drone will see, "
                "or the folder of the data set the model was trained on"
            )
        return find_calibration_images(folder)
    if folder is not None:
        raise InputError(f"--calibration has no effect with --precision {precision}: leave it out, or ask for int8")
    return None


def _measure(target: Target, path: Path, dataset: Dataset) -> None:
    from functools import partial

    from edge import terminal
    from edge.accuracy import METRIC_KEYS
    from edge.detector import Detector
    from edge.evaluation import evaluate

    accuracy = evaluate(Detector(path), dataset, partial(terminal.track, description="evaluating"))
    target.record_accuracy(path, accuracy, str(dataset.path))
    rows = {"all classes": accuracy.overall, **accuracy.per_class}
    terminal.print_table(terminal.accuracy_table(rows, METRIC_KEYS, f"{path.name} on {dataset.path}"))


COMMAND = Command(
    name="export",
    help="turn a checkpoint into an artifact for a board: ONNX, FP32 or INT8",
    example="tinydet export n --precision int8 --calibration datasets/flights --out artifacts",
    add_arguments=_add_arguments,
    run=_run,
)

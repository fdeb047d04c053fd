"""`tinydet export`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinydet.converters.commands.shared import (
    add_calibration_arguments,
    add_int8_arguments,
    apply_gate,
    gate_data,
    load_model,
    parse_input_size,
    split_names,
)
from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from tinydet.converters.target import Target
    from tinydet.edge.datasets.dataset import Dataset
    from tinydet.edge.evaluation.average_precision import Accuracy
    from tinydet.quantization.calibration import CalibrationImages
    from tinydet.quantization.ptq import QuantizedNetwork
    from tinydet.training.checkpoint import LoadedDetector

ALL = "all"
PRECISIONS = ("fp32", "fp16", "int8", ALL)


class Job(NamedTuple):
    """One artifact to write."""

    target: Target[Any]
    precision: str


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="checkpoint (.safetensors), quantized network of `tinydet quantize`, or a bundled model (n, s)",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        default="onnx",
        help="onnx, tflite, tensorrt, openvino, or all: every format whose packages are installed (default: onnx)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="arithmetic of the artifact, or all: every one that the format has (default: int8 for a quantized "
        "network, else fp32)",
    )
    add_calibration_arguments(parser, required=False)
    add_int8_arguments(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the artifacts")


def _run(arguments: Namespace) -> int:
    from tinydet.edge.files.folder_lock import locked_folder
    from tinydet.training.engine.memory import keep_freed_memory

    # Check all inputs first: the rest takes minutes, and writes.
    loaded, network = load_model(arguments.model)
    input_hw = network.input_hw if network is not None else parse_input_size(loaded, arguments.size)
    jobs, left_out = _jobs(arguments, network)
    images = _calibration_images(arguments, network, jobs)
    dataset = gate_data(arguments.data, arguments.calibration, loaded)
    with locked_folder(arguments.out) as folder:
        for line in left_out:
            terminal.say(f"left out: {line}")
        if images is not None:
            keep_freed_memory()
            network = _quantize(loaded, images, arguments, input_hw)
        paths = []
        measured: dict[str, dict[str, Accuracy]] = defaultdict(dict)  # precision -> file name -> accuracy
        for target, precision in jobs:
            quantized = network if precision == "int8" else None
            path = target.export(loaded, folder, precision=precision, input_hw=input_hw, quantized=quantized)
            terminal.say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB, {target.summary(path)}")
            paths.append(path)
            if dataset is not None:
                measured[precision][path.name] = _measure(target, path, dataset)
        code = 0
        if dataset is not None and network is not None and "int8" in measured:
            code = _gate(loaded, network, dataset, measured, arguments)
        elif any(precision == "int8" for _, precision in jobs):
            terminal.say("accuracy gate skipped: give --data DATA with labels to compare INT8 with FP32")
        _say_next(paths, arguments.data or arguments.calibration, dataset)
        return code


def _jobs(arguments: Namespace, network: QuantizedNetwork | None) -> tuple[list[Job], list[str]]:
    """The artifacts to write, and a line for each that `all` leaves out: why, and how to get it.

    Raises `InputError` for an artifact that no target can write, `MissingExtraError` when nothing can be written.
    """
    from tinydet.converters.target import TARGETS, load_target

    wanted, precision = arguments.format, arguments.precision or ("fp32" if network is None else "int8")
    if wanted != ALL and wanted not in TARGETS:
        raise InputError(f"--format: expected one of {', '.join([*TARGETS, ALL])}, got {wanted!r}")
    targets, left_out = [], []
    for name in TARGETS if wanted == ALL else (wanted,):
        try:
            targets.append(load_target(name))
        except MissingExtraError as error:
            if wanted != ALL:
                raise
            left_out.append(str(error))
    if not targets:
        raise MissingExtraError(left_out[0])
    jobs = [Job(target, each) for target in targets for each in target.precisions if precision in (ALL, each)]
    unable = [
        f"{target.name} has no {precision}, only {', '.join(target.precisions)}"
        for target in targets
        if precision not in (ALL, *target.precisions)
    ]
    if not jobs:
        raise InputError(f"--format {wanted} cannot be written with --precision {precision}: {'; '.join(unable)}")
    left_out += unable
    if precision == ALL and network is None and arguments.calibration is None:
        jobs = [job for job in jobs if job.precision != "int8"]
        left_out.append("int8 needs calibration images: add --calibration DIR")
    return jobs, left_out


def _calibration_images(
    arguments: Namespace, network: QuantizedNetwork | None, jobs: list[Job]
) -> CalibrationImages | None:
    from tinydet.quantization.calibration import find_calibration_images

    def refuse(options: tuple[str, ...], reason: str) -> None:
        for option in options:
            if getattr(arguments, option) is not None:
                raise InputError(f"--{option.replace('_', '-')} has no effect {reason}")

    if network is not None:
        fix = "leave it out, or export the float checkpoint"
        refuse(("calibration", "float_blocks", "size"), f"on {arguments.model}, which is quantized already: {fix}")
        return None
    if any(job.precision == "int8" for job in jobs):
        if arguments.calibration is None:
            raise InputError(
                "--precision int8 needs --calibration DIR: a folder of images like those the drone will see, "
                "or the data set that the model was trained on"
            )
        return find_calibration_images(arguments.calibration)
    fix = "leave it out, or ask for int8 with --calibration DIR"
    refuse(("calibration", "float_blocks"), f"with --precision {arguments.precision or 'fp32'}: {fix}")
    return None


def _quantize(
    loaded: LoadedDetector, images: CalibrationImages, arguments: Namespace, input_hw: tuple[int, int]
) -> QuantizedNetwork:

    from tinydet.quantization.ptq import quantize

    terminal.say(f"calibrating on {len(images.paths)} images of {arguments.calibration}")
    progress = partial(terminal.track, description="calibrating")
    blocks = split_names(arguments.float_blocks)
    return quantize(loaded.model, images, input_hw=input_hw, float_blocks=blocks, progress=progress)


def _measure(target: Target[Any], path: Path, dataset: Dataset) -> Accuracy:
    """Measure the artifact's accuracy through its runtime, record it in the file, and show it."""

    from tinydet.converters.network_accuracy import measure_artifact
    from tinydet.edge.evaluation.average_precision import METRIC_KEYS

    accuracy = measure_artifact(path, dataset, partial(terminal.track, description=f"evaluating {path.name}"))
    target.record_accuracy(path, accuracy, str(dataset.path))
    rows = {"all classes": accuracy.overall, **accuracy.per_class}
    terminal.print_table(terminal.accuracy_table(rows, METRIC_KEYS, f"{path.name} on {dataset.path}"))
    return accuracy


def _gate(
    loaded: LoadedDetector,
    network: QuantizedNetwork,
    dataset: Dataset,
    measured: dict[str, dict[str, Accuracy]],
    arguments: Namespace,
) -> int:
    """Apply the accuracy gate to the INT8 artifacts in `measured`; FP32 is measured if it was not exported."""

    from tinydet.converters.network_accuracy import measure_network
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.sensitivity import find_most_sensitive

    fp32 = next(iter(measured["fp32"].values()), None)
    if fp32 is None:
        progress = partial(terminal.track, description="evaluating FP32")
        fp32 = measure_network(loaded, None, dataset, input_hw=network.input_hw, progress=progress)
    track = partial(terminal.track, description="looking for sensitive blocks")
    paths = [record.path for record in dataset.images]
    return apply_gate(
        Gate(dataset),
        fp32,
        measured["int8"],
        allow_drop=arguments.allow_drop,
        find_most_sensitive=partial(find_most_sensitive, loaded.model, network, paths, track),
    )


def _say_next(paths: list[Path], data: Path | None, dataset: Dataset | None) -> None:

    if len(paths) > 1:
        terminal.say_next("parity", paths[0].parent, "--data", data or "DATA")
    elif dataset is None:
        terminal.say_next("evaluate", paths[0], "DATA")
    else:
        terminal.say_next("profile", paths[0], "--data", data)


COMMAND = Command(
    name="export",
    help="turn a checkpoint into artifacts for boards, FP32, FP16 or INT8, and measure the AP that INT8 loses",
    example="""tinydet export n --precision int8 --calibration datasets/aerial-vehicles/tiny --out artifacts
  tinydet export n --format all --precision all --calibration my-photographs --out artifacts""",
    add_arguments=_add_arguments,
    run=_run,
)

"""`tinydet export`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydet.converters.commands.shared import (
    add_calibration_arguments,
    add_gate_arguments,
    gate_data,
    input_hw_of,
    load_model,
    names_of,
    pass_gate,
)
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from tinydet.converters.target import Target
    from tinydet.edge.datasets.dataset import Dataset
    from tinydet.edge.evaluation.average_precision import Accuracy
    from tinydet.quantization.calibration import CalibrationImages
    from tinydet.quantization.ptq import QuantizedNetwork
    from tinydet.training.checkpoint import LoadedDetector

ALL = "all"
PRECISIONS = ("fp32", "fp16", "int8", ALL)


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="checkpoint, bundled size, or what `tinydet quantize` wrote")
    parser.add_argument("--format", metavar="FORMAT", default="onnx", help="what to write, or all (default: onnx)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="of the arithmetic (default: int8 for a quantized network, else fp32)"
    )
    add_calibration_arguments(parser, required=False)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the artifacts")
    add_gate_arguments(parser)


def _run(arguments: Namespace) -> int:
    from tinydet.edge.commands import terminal
    from tinydet.edge.files.writing import writable_folder
    from tinydet.training.engine.memory import keep_freed_memory

    # Everything that can be wrong is looked at first: what follows takes minutes, and writes.
    loaded, network = load_model(arguments.model)
    input_hw = network.input_hw if network is not None else input_hw_of(loaded, arguments.size)
    precision = arguments.precision or ("fp32" if network is None else "int8")
    jobs = _jobs(arguments.format, precision)
    has_int8 = any(job_precision == "int8" for _, job_precision in jobs)
    images = _calibration_images(arguments, network, has_int8)
    dataset = gate_data(arguments.data, arguments.calibration)
    folder = writable_folder(arguments.out)

    if images is not None:
        keep_freed_memory()
        network = _calibrated(loaded, images, arguments, input_hw)
    paths = []
    measured: dict[Path, Accuracy] = {}
    for target, job_precision in jobs:
        quantized = network if job_precision == "int8" else None
        path = target.export(loaded, folder, precision=job_precision, input_hw=input_hw, quantized=quantized)
        terminal.say(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB, {target.summary(path)}")
        paths.append(path)
        if dataset is not None:
            measured[path] = _measured(target, path, dataset)
    code = 0
    if dataset is not None and network is not None and has_int8:
        int8 = [path for path, (_, job_precision) in zip(paths, jobs, strict=True) if job_precision == "int8"]
        fp32 = next((measured[p] for p, job in zip(paths, jobs, strict=True) if job[1] == "fp32"), None)
        code = _gate(loaded, network, dataset, fp32, {path.name: measured[path] for path in int8}, arguments)
    elif has_int8:
        terminal.say("not judged: give --data with labels to compare INT8 with FP32")
    _say_next(paths, arguments.data or arguments.calibration, dataset)
    return code


def _jobs(format_name: str, precision: str) -> list[tuple[Target[Any], str]]:
    """What to write. Raises `InputError` for what no target can, `MissingExtraError` before any work is done."""
    from tinydet.converters.target import TARGETS, load_target

    if format_name != ALL and format_name not in TARGETS:
        raise InputError(f"--format is one of {', '.join([*TARGETS, ALL])}, got {format_name!r}")
    targets = {name: load_target(name) for name in (TARGETS if format_name == ALL else (format_name,))}
    jobs = [
        (target, of_target)
        for target in targets.values()
        for of_target in target.precisions
        if precision in (ALL, of_target)
    ]
    if not jobs:
        able = "; ".join(f"{name}: {', '.join(target.precisions)}" for name, target in targets.items())
        raise InputError(f"--format {format_name} cannot be written with --precision {precision} ({able})")
    return jobs


def _calibration_images(
    arguments: Namespace, network: QuantizedNetwork | None, has_int8: bool
) -> CalibrationImages | None:
    from tinydet.quantization.calibration import find_calibration_images

    if network is not None:
        for option in ("calibration", "float_blocks", "size"):
            if getattr(arguments, option) is not None:
                raise InputError(
                    f"--{option.replace('_', '-')} has no effect on {arguments.model}: it is quantized already; "
                    "leave it out, or export the float checkpoint"
                )
        return None
    if has_int8:
        if arguments.calibration is None:
            raise InputError(
                "--precision int8 needs --calibration DIR: a folder of images like those the drone will see, "
                "or the folder of the data set the model was trained on"
            )
        return find_calibration_images(arguments.calibration)
    for option in ("calibration", "float_blocks"):
        if getattr(arguments, option) is not None:
            raise InputError(
                f"--{option.replace('_', '-')} has no effect with --precision {arguments.precision or 'fp32'}: "
                "leave it out, or ask for int8"
            )
    return None


def _calibrated(
    loaded: LoadedDetector, images: CalibrationImages, arguments: Namespace, input_hw: tuple[int, int]
) -> QuantizedNetwork:
    from functools import partial

    from tinydet.edge.commands import terminal
    from tinydet.quantization.ptq import quantize

    terminal.say(f"calibrating on {len(images.paths)} images of {arguments.calibration}")
    progress = partial(terminal.track, description="calibrating")
    blocks = names_of(arguments.float_blocks)
    return quantize(loaded.model, images, input_hw=input_hw, float_blocks=blocks, progress=progress)


def _measured(target: Target[Any], path: Path, dataset: Dataset) -> Accuracy:
    """AP of the file through its runtime, recorded inside it."""
    from functools import partial

    from tinydet.converters.network_accuracy import measure_file
    from tinydet.edge.commands import terminal
    from tinydet.edge.evaluation.average_precision import METRIC_KEYS

    accuracy = measure_file(path, dataset, partial(terminal.track, description=f"evaluating {path.name}"))
    target.record_accuracy(path, accuracy, str(dataset.path))
    rows = {"all classes": accuracy.overall, **accuracy.per_class}
    terminal.print_table(terminal.accuracy_table(rows, METRIC_KEYS, f"{path.name} on {dataset.path}"))
    return accuracy


def _gate(
    loaded: LoadedDetector,
    network: QuantizedNetwork,
    dataset: Dataset,
    fp32: Accuracy | None,
    int8: dict[str, Accuracy],
    arguments: Namespace,
) -> int:
    from functools import partial

    from tinydet.converters.network_accuracy import measure_network
    from tinydet.edge.commands import terminal
    from tinydet.quantization.gate import Gate
    from tinydet.quantization.sensitivity import blame

    if fp32 is None:
        progress = partial(terminal.track, description="evaluating FP32")
        fp32 = measure_network(loaded, None, dataset, input_hw=network.input_hw, progress=progress)
    paths = [record.path for record in dataset.images]
    track = partial(terminal.track, description="looking for sensitive blocks")
    return pass_gate(
        Gate(dataset),
        fp32,
        int8,
        allow_drop=arguments.allow_drop,
        blame=partial(blame, loaded.model, network, paths, track),
    )


def _say_next(paths: list[Path], data: Path | None, dataset: Dataset | None) -> None:
    from tinydet.edge.commands import terminal

    if len(paths) > 1:
        terminal.say(f"next: tinydet parity {paths[0].parent} --data {data or 'DATA'}")
    elif dataset is None:
        terminal.say(f"next: tinydet evaluate {paths[0]} DATA")
    else:
        terminal.say(f"next: tinydet profile {paths[0]} --data {data}")


COMMAND = Command(
    name="export",
    help="turn a checkpoint into artifacts for boards, FP32 or INT8, and measure what INT8 costs",
    example="tinydet export n --precision int8 --calibration datasets/flights --out artifacts",
    add_arguments=_add_arguments,
    run=_run,
)

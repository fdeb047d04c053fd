"""Run the bundled `n` on emulated Arm CPUs: `make verify-arm`."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from boards.arm.emulator import CPUS, EmulatedBoard
from boards.bundled import export_n, render_scenes
from edge import terminal
from edge.cli import main as tinydet
from edge.errors import InputError
from edge.formats import read_dataset


@dataclass(frozen=True, kw_only=True)
class RuntimePackages:
    """What brings a runtime to the board."""

    file_format: str
    """What it loads."""
    folders: tuple[str, ...] = ("extras",)
    """Of `setup.sh`."""


#: Package of the runtime -> where it is. tflite-runtime is for 32-bit boards; here it runs on 64 bit.
RUNTIMES = {
    "onnxruntime": RuntimePackages(file_format="onnx"),
    "openvino": RuntimePackages(file_format="openvino"),
    "ai-edge-litert": RuntimePackages(file_format="tflite"),
    "tflite-runtime": RuntimePackages(file_format="tflite", folders=("tflite-runtime", "base")),
}
#: Format -> precision of its float artifact. OpenVINO's has weights of 16 bits and computes in 32.
FLOATS = {"onnx": "fp32", "openvino": "fp16", "tflite": "fp32"}
#: CPU and runtime -> how many times as many instructions a float inference must take as INT8's. The A72 has no 8-bit
#: dot product; LiteRT's float kernels are so good there that its INT8 kernels, the best of all, save little. OpenVINO
#: computes INT8 in float on Arm, and tflite-runtime has no fast INT8 kernels on 64 bits: nothing is asked of them.
MIN_INSTRUCTION_RATIO = {
    ("cortex-a72", "onnxruntime"): 1.3,
    ("cortex-a72", "ai-edge-litert"): 1.05,
    ("cortex-a76", "onnxruntime"): 2.2,
    ("cortex-a76", "ai-edge-litert"): 2.2,
}
MAX_AP_DIFFERENCE = 0.005
MAX_BASE_MB = 150
SCENES = 24
PROFILE_MINUTES = "0.02"  # after its warm-up


@dataclass(frozen=True, kw_only=True)
class Result:
    """One runtime on one CPU."""

    cpu: str
    runtime: str
    """Name and version, as `tinydet evaluate` tells it there."""
    ap_here: float
    """Of the INT8 artifact on this machine, 0 to 1."""
    ap: float
    """Of the same artifact on the emulated CPU."""
    detected: int
    """Objects that `tinydet detect` found in the first image."""
    profiled: int
    """Frames that `tinydet profile` timed."""
    float_instructions: int
    """Of one inference."""
    int8_instructions: int

    @property
    def instruction_ratio(self) -> float:
        """Float over INT8."""
        return self.float_instructions / self.int8_instructions


def measure(folder: Path, artifacts: Mapping[tuple[str, str], Path], data: Path) -> list[Result]:
    """Every runtime on every CPU; `artifacts` are by format and precision. As many programs at once as cores."""
    here = {file_format: _ap_here(artifacts[file_format, "int8"], data) for file_format in FLOATS}
    image = read_dataset(data, split="val").images[0].path.resolve()
    results = []
    for cpu in CPUS:
        board = EmulatedBoard(folder, cpu)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = {
                runtime: (
                    pool.submit(board.instructions, packages.folders, artifacts[packages.file_format, floats]),
                    pool.submit(board.instructions, packages.folders, artifacts[packages.file_format, "int8"]),
                    pool.submit(
                        _commands, board, packages.folders, artifacts[packages.file_format, "int8"], data, image
                    ),
                )
                for runtime, packages in RUNTIMES.items()
                for floats in (FLOATS[packages.file_format],)
            }
        for runtime, (float_job, int8_job, commands_job) in jobs.items():
            evaluated, detected, profiled = commands_job.result()
            if not evaluated["runtime"].startswith(f"{runtime} "):
                raise InputError(f"{evaluated['runtime']} ran where {runtime} was to")
            results.append(
                Result(
                    cpu=cpu,
                    runtime=evaluated["runtime"],
                    ap_here=here[RUNTIMES[runtime].file_format],
                    ap=evaluated["AP"],
                    detected=len(detected["detections"]),
                    profiled=profiled["artifacts"][0]["frame_count"],
                    float_instructions=float_job.result(),
                    int8_instructions=int8_job.result(),
                )
            )
    return results


def base_failures(base: Path) -> list[str]:
    """What is wrong with the base install: torch in it, or too large."""
    found = ["the base install holds torch"] if (base / "torch").exists() else []
    megabytes = size_mb(base)
    if megabytes > MAX_BASE_MB:
        found.append(f"the base install takes {megabytes:.0f} MB, more than {MAX_BASE_MB}")
    return found


def size_mb(folder: Path) -> float:
    """Of all files in it, without the bytecode that Python adds when it first runs."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files) / 1e6


def failures(results: Sequence[Result]) -> list[str]:
    """A line for each thing that is not as it must be."""
    lines = []
    for result in results:
        name, ratio = f"{result.runtime} on {result.cpu}", result.instruction_ratio
        least = MIN_INSTRUCTION_RATIO.get((result.cpu, result.runtime.partition(" ")[0]), 0.0)
        if abs(result.ap - result.ap_here) > MAX_AP_DIFFERENCE:
            lines.append(f"{name}: INT8 AP is {result.ap:.4f}, here it is {result.ap_here:.4f}")
        if not result.detected:
            lines.append(f"{name}: nothing was detected in the first image")
        if ratio < least:
            lines.append(f"{name}: float takes {ratio:.2f} times as many instructions as INT8, less than {least}")
    return lines


def table(results: Sequence[Result]) -> Table:
    """A row for each result."""
    rows = Table()
    for name in ("CPU", "board", "runtime"):
        rows.add_column(name)
    for name in ("AP", "AP here", "detected", "profiled", "float, 10⁹", "INT8, 10⁹", "ratio"):
        rows.add_column(name, justify="right")
    for result in results:
        billions = [f"{count / 1e9:.2f}" for count in (result.float_instructions, result.int8_instructions)]
        aps = [f"{ap:.4f}" for ap in (result.ap, result.ap_here)]
        counts = (str(result.detected), str(result.profiled))
        ratio = f"{result.instruction_ratio:.2f}"
        rows.add_row(result.cpu, CPUS[result.cpu].board, result.runtime, *aps, *counts, *billions, ratio)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 all is as it must be, 1 not so, 2 the emulated board is not set up."""
    parser = ArgumentParser(prog="python -m boards.arm.verify", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where setup.sh put the emulated board")
    parser.add_argument(
        "--data", type=Path, help="data set to calibrate on (train) and score on (val); default: scenes"
    )
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    try:
        EmulatedBoard(folder, next(iter(CPUS)))
        data = _scenes(folder / "scenes") if options.data is None else options.data
        artifacts = {
            (file_format, precision): export_n(folder, file_format=file_format, precision=precision, calibration=data)
            for file_format, floats in FLOATS.items()
            for precision in (floats, "int8")
        }
        results = measure(folder, artifacts, data)
    except InputError as error:
        terminal.say(f"error: {error}")
        return 2
    terminal.print_table(table(results))
    terminal.say(f"base install for Arm: {size_mb(folder / 'base'):.0f} MB")
    terminal.say(
        "emulated. AP: of the INT8 artifact. 10⁹: executed instructions of one inference on one thread, not time"
    )
    found = failures(results) + base_failures(folder / "base")
    for line in found:
        terminal.say(f"error: {line}")
    return 1 if found else 0


def _scenes(folder: Path) -> Path:
    render_scenes(folder, split="train", images=32)
    return render_scenes(folder, split="val", images=SCENES)


def _ap_here(artifact: Path, data: Path) -> float:
    report = artifact.with_suffix(".here.json")
    if tinydet(["evaluate", str(artifact), str(data), "--json", str(report)]):
        raise InputError(f"tinydet evaluate failed on {artifact}")
    ap = json.loads(report.read_text(encoding="utf-8"))["AP"]
    assert isinstance(ap, float)
    return ap


def _commands(board: EmulatedBoard, folders: Sequence[str], artifact: Path, data: Path, image: Path) -> list[Any]:
    """What evaluate, detect (in `image`) and profile write as JSON."""
    model, sustained = artifact.resolve(), ("--sustained", PROFILE_MINUTES)
    with TemporaryDirectory() as name:
        accuracy, found, profile = (Path(name) / file for file in ("accuracy.json", "found.jsonl", "profile.json"))
        commands: list[tuple[str | Path, ...]] = [
            ("evaluate", model, data.resolve(), "--json", accuracy),
            ("detect", model, image, "--jsonl", found),
            ("profile", model, *sustained, "--json", profile),
        ]
        for command in commands:
            board.python(folders, "-m", "edge.cli", *command, "--threads", "1")
        return [json.loads(path.read_text(encoding="utf-8")) for path in (accuracy, found, profile)]


if __name__ == "__main__":
    sys.exit(main())

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

from rich.table import Table

from boards.arm.emulator import CPUS, EmulatedBoard
from boards.bundled import export_n, render_scenes
from edge import terminal
from edge.cli import main as tinydet
from edge.errors import InputError

#: Runtime, by the package that brings it -> format it loads.
RUNTIMES = {"onnxruntime": "onnx"}
#: CPU -> how many times as many instructions FP32 must take as INT8. The A72 has no 8-bit dot product.
MIN_INSTRUCTION_RATIO = {"cortex-a72": 1.3, "cortex-a76": 2.2}
MAX_AP_DIFFERENCE = 0.005
MAX_BASE_MIB = 150
VAL_IMAGES = 24


@dataclass(frozen=True, kw_only=True)
class Result:
    """One runtime on one CPU."""

    cpu: str
    runtime: str
    ap_here: float
    """Of the INT8 artifact on this machine, 0 to 1."""
    ap: float
    """Of the same artifact on the emulated CPU."""
    instructions: Mapping[str, int]
    """Precision -> instructions of one inference."""

    @property
    def instruction_ratio(self) -> float:
        """FP32 over INT8."""
        return self.instructions["fp32"] / self.instructions["int8"]


def measure(folder: Path, artifacts: Mapping[tuple[str, str], Path], data: Path) -> list[Result]:
    """Every runtime on every CPU; `artifacts` are by format and precision. As many programs at once as cores."""
    here = {file_format: _ap_here(artifacts[file_format, "int8"], data) for file_format in set(RUNTIMES.values())}
    results = []
    for cpu in CPUS:
        board = EmulatedBoard(folder, cpu)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            aps = {
                runtime: pool.submit(_ap_there, board, runtime, artifacts[file_format, "int8"], data)
                for runtime, file_format in RUNTIMES.items()
            }
            counts = {
                (runtime, precision): pool.submit(board.instructions, artifacts[file_format, precision], runtime)
                for runtime, file_format in RUNTIMES.items()
                for precision in ("fp32", "int8")
            }
        for runtime, file_format in RUNTIMES.items():
            instructions = {precision: counts[runtime, precision].result() for precision in ("fp32", "int8")}
            results.append(
                Result(
                    cpu=cpu,
                    runtime=runtime,
                    ap_here=here[file_format],
                    ap=aps[runtime].result(),
                    instructions=instructions,
                )
            )
    return results


def base_failures(base: Path) -> list[str]:
    """What is wrong with the base install: torch in it, or too large."""
    found = ["the base install holds torch"] if (base / "torch").exists() else []
    mib = size_mib(base)
    if mib > MAX_BASE_MIB:
        found.append(f"the base install takes {mib:.0f} MiB, more than {MAX_BASE_MIB}")
    return found


def size_mib(folder: Path) -> float:
    """Of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def failures(results: Sequence[Result]) -> list[str]:
    """A line for each thing that is not as it must be."""
    lines = []
    for result in results:
        name, least = f"{result.runtime} on {result.cpu}", MIN_INSTRUCTION_RATIO[result.cpu]
        ratio = result.instruction_ratio
        if abs(result.ap - result.ap_here) > MAX_AP_DIFFERENCE:
            lines.append(f"{name}: INT8 AP is {result.ap:.4f}, here it is {result.ap_here:.4f}")
        if ratio < least:
            lines.append(f"{name}: FP32 takes {ratio:.2f} times as many instructions as INT8, less than {least}")
    return lines


def table(results: Sequence[Result]) -> Table:
    """A row for each result."""
    rows = Table()
    for name in ("CPU", "board", "runtime"):
        rows.add_column(name)
    for name in ("INT8 AP", "AP here", "FP32, 10⁹ instructions", "INT8, 10⁹ instructions", "FP32 / INT8"):
        rows.add_column(name, justify="right")
    for result in results:
        billions = [f"{result.instructions[precision] / 1e9:.2f}" for precision in ("fp32", "int8")]
        aps = [f"{ap:.4f}" for ap in (result.ap, result.ap_here)]
        ratio = f"{result.instruction_ratio:.2f}"
        rows.add_row(result.cpu, CPUS[result.cpu].board, result.runtime, *aps, *billions, ratio)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 all is as it must be, 1 not so, 2 the emulated board is not set up."""
    parser = ArgumentParser(prog="python -m boards.arm.verify", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where setup.sh put the emulated board")
    folder: Path = parser.parse_args(arguments).folder
    try:
        EmulatedBoard(folder, next(iter(CPUS)))
        data = render_scenes(folder / "scenes", split="train", images=32)
        render_scenes(data, split="val", images=VAL_IMAGES)
        artifacts = {
            (file_format, precision): export_n(folder, file_format=file_format, precision=precision, calibration=data)
            for file_format in sorted(set(RUNTIMES.values()))
            for precision in ("fp32", "int8")
        }
        results = measure(folder, artifacts, data)
    except InputError as error:
        terminal.say(f"error: {error}")
        return 2
    terminal.print_table(table(results))
    terminal.say(f"base install for Arm: {size_mib(folder / 'base'):.0f} MiB")
    terminal.say("emulated: executed instructions of one inference on one thread, not time")
    found = failures(results) + base_failures(folder / "base")
    for line in found:
        terminal.say(f"error: {line}")
    return 1 if found else 0


def _ap_here(artifact: Path, data: Path) -> float:
    report = artifact.with_suffix(".here.json")
    if tinydet(["evaluate", str(artifact), str(data), "--json", str(report)]):
        raise InputError(f"tinydet evaluate failed on {artifact}")
    return _ap(report.read_text(encoding="utf-8"))


def _ap_there(board: EmulatedBoard, runtime: str, artifact: Path, data: Path) -> float:
    evaluate = ("-m", "edge.cli", "evaluate", artifact.resolve(), data.resolve(), "--json", "--threads", "1")
    return _ap(board.python(runtime, *evaluate))


def _ap(report: str) -> float:
    ap = json.loads(report)["AP"]
    assert isinstance(ap, float)
    return ap


if __name__ == "__main__":
    sys.exit(main())

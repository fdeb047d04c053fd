"""Verify the bundled `n` on emulated Arm CPUs: `make verify-arm`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from tinydet.boards.arm.emulator import CPUS, EmulatedBoard
from tinydet.boards.arm.measure import FLOATS, JUDGED_OBJECTS, RUNTIME_PACKAGES, RuntimeResult, measure
from tinydet.boards.board import known_boards
from tinydet.boards.cached_exports import export_n, render_scenes
from tinydet.boards.runtimes import RUNTIMES
from tinydet.edge.commands import terminal
from tinydet.edge.commands.cli import exit_code

INPUT_SIZE = "320x256"  # close to that of the photographs; at 640 px emulation takes half an hour
#: CPU -> minimum ratio of the instructions of a float inference to those of INT8.
MIN_INSTRUCTION_RATIO = {"cortex-a72": 1.3, "cortex-a76": 2.2}
#: Runtimes that must reach it: ONNX Runtime, and the board's preferred runtime, except LiteRT on the A72, whose INT8
#: kernels take the fewest instructions of all there and whose float kernels hardly more. The others have no fast INT8
#: kernels for 64-bit Arm; their ratio is shown only.
MUST_REACH = {("cortex-a72", "onnxruntime"), ("cortex-a76", "onnxruntime"), ("cortex-a76", "ai-edge-litert")}
MAX_AP_DIFFERENCE = 0.005
MAX_BASE_MB = 150
SCENES = 24


def base_failures(base: Path) -> list[str]:
    """Faults of the base install, a line each: it holds torch, or is too large."""
    found = ["the base install holds torch"] if (base / "torch").exists() else []
    megabytes = size_mb(base)
    if megabytes > MAX_BASE_MB:
        found.append(f"the base install takes {megabytes:.0f} MB, more than {MAX_BASE_MB}")
    return found


def size_mb(folder: Path) -> float:
    """Size of all its files, without the bytecode that Python adds when it first runs."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files) / 1e6


def failures(results: Sequence[RuntimeResult]) -> list[str]:
    """A line for each requirement that is not met."""
    lines = [line for result in results if (line := _ratio_line(result)) and _must_reach(result)]
    for result in results:
        if abs(result.ap - result.ap_here) > MAX_AP_DIFFERENCE:
            lines.append(f"{_name(result)}: INT8 AP is {result.ap:.4f}, on this machine {result.ap_here:.4f}")
        if not result.detected:
            lines.append(f"{_name(result)}: nothing was detected in the first image")
    boards = {board.name: board for board in known_boards()}
    for cpu in {result.cpu: None for result in results}:
        fewest = min((result for result in results if result.cpu == cpu), key=lambda result: result.int8_instructions)
        preferred = boards[CPUS[cpu].board].runtimes[0]
        if RUNTIMES[preferred].export_format != RUNTIME_PACKAGES[fewest.package].file_format:
            lines.append(f"{_name(fewest)}: fewest INT8 instructions, but boards/known_boards prefers {preferred}")
    return lines


def notes(results: Sequence[RuntimeResult]) -> list[str]:
    """A line for each low ratio of a runtime outside `MUST_REACH`, and each difference of AP that is not judged."""
    lines = [line for result in results if (line := _ratio_line(result)) and not _must_reach(result)]
    for result in results:
        if abs(result.ap_all - result.ap_all_here) > MAX_AP_DIFFERENCE:
            seen = f"INT8 AP over all classes is {result.ap_all:.4f}, on this machine {result.ap_all_here:.4f}"
            lines.append(f"{_name(result)}: {seen}; classes with fewer than {JUDGED_OBJECTS} objects are not judged")
    return lines


def _ratio_line(result: RuntimeResult) -> str:
    """A line on a ratio that is too low; empty otherwise."""
    minimum, ratio = MIN_INSTRUCTION_RATIO[result.cpu], result.instruction_ratio
    line = f"{_name(result)}: float takes {ratio:.2f} times as many instructions as INT8, less than {minimum}"
    return line if ratio < minimum else ""


def _must_reach(result: RuntimeResult) -> bool:
    return (result.cpu, result.package) in MUST_REACH


def _name(result: RuntimeResult) -> str:
    return f"{result.runtime} on {result.cpu}"


def table(results: Sequence[RuntimeResult], cpu: str) -> Table:
    """A row for each result on that CPU."""
    columns = ("runtime", "AP", "AP here", "float", "INT8", "ratio", "minimum")
    rows = terminal.new_table(*columns, title=f"{cpu}, as in a {CPUS[cpu].board}")
    minimum = MIN_INSTRUCTION_RATIO[cpu]
    for result in (result for result in results if result.cpu == cpu):
        billions = [f"{count / 1e9:.3f}" for count in (result.float_instructions, result.int8_instructions)]
        ratio = (f"{result.instruction_ratio:.2f}", f"{minimum}" if _must_reach(result) else f"({minimum})")
        rows.add_row(result.runtime, f"{result.ap:.4f}", f"{result.ap_here:.4f}", *billions, *ratio)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 passed, 1 failed, 2 the emulated board is not set up, 130 interrupted."""
    return exit_code(lambda: _verify(arguments))


def _verify(arguments: Sequence[str] | None) -> int:
    parser = ArgumentParser(prog="python -m tinydet.boards.arm.verify", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where setup.sh put the emulated board")
    parser.add_argument(
        "--data", type=Path, help="data set to calibrate on (train) and score on (val); default: rendered scenes"
    )
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    EmulatedBoard(folder, next(iter(CPUS)))
    data = _scenes(folder / "scenes") if options.data is None else options.data
    artifacts = {
        (file_format, precision): export_n(
            folder, file_format=file_format, precision=precision, calibration=data, size=INPUT_SIZE
        )
        for file_format, floats in FLOATS.items()
        for precision in (floats, "int8")
    }
    results = measure(folder, artifacts, data)
    for cpu in CPUS:
        terminal.print_table(table(results, cpu))
    terminal.say(f"base install for Arm: {size_mb(folder / 'base'):.0f} MB")
    terminal.say(
        f"emulated. AP: of the INT8 artifact, over classes with {JUDGED_OBJECTS} objects or more. float, INT8: 10⁹ "
        "executed instructions of one inference on one thread, not time; a minimum in brackets need not be reached"
    )
    for line in notes(results):
        terminal.say(f"note: {line}")
    found = failures(results) + base_failures(folder / "base")
    for line in found:
        terminal.say(f"error: {line}")
    return 1 if found else 0


def _scenes(folder: Path) -> Path:
    render_scenes(folder, split="train", images=32)
    return render_scenes(folder, split="val", images=SCENES)


if __name__ == "__main__":
    sys.exit(main())

"""Compile the bundled `n` for every Intel NPU: `make verify-npu`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from tinydet.boards.cached_exports import export_n, render_scenes
from tinydet.boards.npu.compiler import PLATFORMS, Compiled, NpuCompiler, RefusedError
from tinydet.edge.commands import terminal
from tinydet.edge.commands.cli import exit_code
from tinydet.edge.files.writing import write_text

FLOAT, INT8 = PRECISIONS = ("fp16", "int8")
"""The NPU computes float models in FP16, whatever the file's precision."""
MAX_RATIO = 0.65
"""Limit of the INT8 blob's size over the FP16 blob's."""


class Attempt(NamedTuple):
    """Compilation of one model for one platform."""

    platform: str
    precision: str
    outcome: Compiled | RefusedError


def export(folder: Path) -> dict[str, Path]:
    """Export `n` into `folder` in each precision. Raises `InputError` if that fails."""
    scenes = render_scenes(folder / "scenes", split="train", images=32)
    return {
        precision: export_n(folder, file_format="openvino", precision=precision, calibration=scenes)
        for precision in PRECISIONS
    }


def attempt_all(compiler: NpuCompiler, models: dict[str, Path], folder: Path) -> list[Attempt]:
    """Compile every model (by precision) for every platform; blobs go to `folder`."""
    attempts = []
    for platform in PLATFORMS:
        for precision, model in models.items():
            outcome: Compiled | RefusedError
            try:
                outcome = compiler.compile(model, folder / f"{model.stem}-{platform}.blob", platform=platform)
            except RefusedError as error:
                outcome = error
            attempts.append(Attempt(platform=platform, precision=precision, outcome=outcome))
    return attempts


def ratios(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Platform -> size of the INT8 blob over the FP16 blob's, if both compiled."""
    sizes = {(a.platform, a.precision): a.outcome.blob_bytes for a in attempts if isinstance(a.outcome, Compiled)}
    return {
        platform: sizes[platform, INT8] / sizes[platform, FLOAT]
        for platform in PLATFORMS
        if {(platform, INT8), (platform, FLOAT)} <= set(sizes)
    }


def failures(attempts: Sequence[Attempt]) -> list[str]:
    """A line for each requirement that is not met."""
    lines = [
        f"{attempt.precision} does not compile for {attempt.platform}: {attempt.outcome}"
        for attempt in attempts
        if isinstance(attempt.outcome, RefusedError)
    ]
    for platform, ratio in ratios(attempts).items():
        if ratio > MAX_RATIO:
            lines.append(f"the INT8 blob for {platform} is {ratio:.2f} of the FP16 blob's size, more than {MAX_RATIO}")
    return lines


def table(attempts: Sequence[Attempt]) -> Table:
    """A row for each attempt."""
    columns = ("NPU", "processors", "precision", "compiled in, s", "blob, MB", "INT8 / FP16")
    rows = terminal.new_table(*columns, texts=3)
    by_platform = ratios(attempts)
    for attempt in attempts:
        outcome, platform = attempt.outcome, attempt.platform
        result = ("refused", "-")
        if isinstance(outcome, Compiled):
            result = (f"{outcome.seconds:.1f}", f"{outcome.blob_bytes / 1e6:.2f}")
        ratio = f"{by_platform[platform]:.2f}" if attempt.precision == INT8 and platform in by_platform else ""
        rows.add_row(platform, PLATFORMS[platform], attempt.precision, *result, ratio)
    return rows


def messages(attempts: Sequence[Attempt]) -> str:
    """Output of the compiler, attempt by attempt."""
    return "\n".join(f"== {a.precision} for {a.platform}\n{a.outcome.messages}\n" for a in attempts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 passed, 1 failed, 2 no compiler is set up, 130 interrupted."""
    return exit_code(lambda: _verify(arguments))


def _verify(arguments: Sequence[str] | None) -> int:
    parser = ArgumentParser(prog="python -m tinydet.boards.npu.verify", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where setup.sh put the compiler")
    folder: Path = parser.parse_args(arguments).folder
    compiler = NpuCompiler(folder)
    models = export(folder / "models")
    attempts = attempt_all(compiler, models, folder / "blobs")
    write_text(folder / "messages.log", messages(attempts))
    terminal.print_table(table(attempts))
    terminal.say(f"compiled only, not run on an NPU. The compiler's output: {folder / 'messages.log'}")
    lines = failures(attempts)
    for line in lines:
        terminal.say(f"error: {line}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

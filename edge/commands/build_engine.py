"""`tinydet build-engine`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import whole_number
from tinydet.edge.errors import InputError

ENDING = ".tensorrt.onnx"


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "artifact", metavar="ARTIFACT", type=Path, help=f"artifact of `tinydet export --format tensorrt` (*{ENDING})"
    )
    parser.add_argument(
        "--out", metavar="FILE.engine", type=Path, help="engine to write (default: in the folder of ARTIFACT)"
    )
    parser.add_argument(
        "--batch", metavar="N", type=whole_number(1, 1024), default=1, help="maximum images per inference (default: 1)"
    )
    parser.add_argument(
        "--workspace-mb",
        metavar="N",
        type=whole_number(1, 1_000_000),
        default=1024,
        help="maximum memory that a kernel may use while it runs, MiB (default: 1024)",
    )


def _run(arguments: Namespace) -> None:

    source: Path = arguments.artifact
    if not source.name.endswith(ENDING):
        raise InputError(
            f"cannot build an engine from {source}: expected a file ending in {ENDING}, "
            "made with `tinydet export --format tensorrt`"
        )
    engine: Path = arguments.out or source.with_name(f"{source.name.removesuffix(ENDING)}.engine")
    if engine.suffix != ".engine":
        raise InputError(f"--out {engine}: expected a file ending in .engine")
    if not source.is_file():
        raise InputError(f"artifact {source} does not exist")

    # Imported last: mistakes on the command line are reported without TensorRT too.
    from tinydet.edge.runtimes.tensorrt import build_engine

    terminal.say(f"building {engine}; this takes minutes, and the engine fits this GPU, power mode and TensorRT only")
    if build_engine(source, engine, batch=arguments.batch, workspace_mb=arguments.workspace_mb):
        terminal.say(f"wrote {engine}: {engine.stat().st_size / 1e6:.1f} MB")
    else:
        terminal.say(f"{engine} is up to date")
    terminal.say_next("evaluate", engine, "DATA")


COMMAND = Command(
    name="build-engine",
    help="build the TensorRT engine of an artifact on the Jetson that will run it",
    example="tinydet build-engine n-640px-int8.tensorrt.onnx --workspace-mb 1024",
    add_arguments=_add_arguments,
    run=_run,
)

"""Exports of the bundled `n`, and rendered scenes, for `make verify-arm` and `verify-npu`.

The commands that a user types make them. Each is kept, and made again only when its sources or inputs have changed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import tinydet
from tinydet.boards.runtimes import RUNTIMES
from tinydet.edge.commands import terminal
from tinydet.edge.commands.cli import dispatch
from tinydet.edge.errors import InputError

FILE_ENDINGS = {info.export_format: info.file_ending for info in RUNTIMES.values()}
SOURCE_FOLDERS, SOURCE_ENDINGS = ("edge", "training", "quantization", "converters"), (".py", ".safetensors")
SEEDS = {"train": 9001, "val": 9002}
"""Seeds by split, of scenes that the weights were not trained on."""


def render_scenes(folder: Path, *, split: str, images: int) -> Path:
    """Render `images` scenes into the data set `folder`, the same ones every time. Returns `folder`."""
    size = ["--images", str(images), "--seed", str(SEEDS[split])]
    return _run(["data", "render", "--margin", "1", "--out", str(folder), "--split", split, *size], folder)


def export_n(folder: Path, *, file_format: str, precision: str, calibration: Path, size: str | None = None) -> Path:
    """Export `n` into its own folder below `folder` and return the artifact; options as for `tinydet export`.

    `calibration` is used for INT8 only. Raises `InputError` if the export fails.
    """
    out = folder / "-".join([file_format, precision, *([size] if size is not None else [])])
    command = ["export", "n", "--format", file_format, "--precision", precision, "--out", str(out)]
    command += ["--calibration", str(calibration)] if precision == "int8" else []
    _run([*command, *(["--size", size] if size is not None else [])], out, calibration)
    (artifact,) = out.glob(f"*.{FILE_ENDINGS[file_format]}")
    return artifact


def _run(command: list[str], result: Path, *inputs: Path) -> Path:
    """Run the command, unless it made `result` before from the same sources and files in the folders `inputs`."""
    made = result / f".made-{_digest(command, inputs)}"
    if made.exists():
        terminal.say(f"up to date: {result}")
        return result
    for outdated in result.glob(".made-*"):
        outdated.unlink()
    terminal.say(f"$ tinydet {shlex.join(command)}")
    if dispatch(command):  # it has printed the reason
        raise InputError(f"tinydet {command[0]} failed: {result} was not made")
    made.touch()
    return result


def _digest(command: Sequence[str], inputs: Sequence[Path]) -> str:
    """Hash of the command, tinydet's sources and checkpoints, and the names and sizes of the files in `inputs`."""
    digest = sha256("\0".join(command).encode())
    tree = Path(tinydet.__file__).parent
    sources = (path for folder in SOURCE_FOLDERS for path in (tree / folder).rglob("*"))
    for path in sorted(path for path in sources if path.suffix in SOURCE_ENDINGS):
        digest.update(path.read_bytes())
    for path in sorted(path for folder in inputs for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path} {path.stat().st_size}".encode())
    return digest.hexdigest()[:16]

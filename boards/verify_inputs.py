"""What the verify targets run on: artifacts of the bundled `n` and images for it, made by the commands a user types."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import tinydet
from tinydet.edge.commands import terminal
from tinydet.edge.commands.cli import dispatch
from tinydet.edge.errors import InputError

#: Format of `tinydet export` -> ending of the file that is loaded.
ENDINGS = {"onnx": "onnx", "openvino": "xml", "tflite": "tflite"}
PACKAGES, SOURCES = ("edge", "training", "quantization", "converters"), (".py", ".safetensors")
SEEDS = {"train": 9001, "val": 9002}  # scenes that the weights were not trained on


def render_scenes(folder: Path, *, split: str, images: int) -> Path:
    """Draw `images` scenes into the data set `folder`; the same ones every time. Returns `folder`."""
    size = ["--images", str(images), "--seed", str(SEEDS[split])]
    return _run(["data", "render", "--margin", "1", "--out", str(folder), "--split", split, *size], folder)


def export_n(folder: Path, *, file_format: str, precision: str, calibration: Path, size: str | None = None) -> Path:
    """Export `n` into a folder of its own below `folder`; returns the artifact.

    `calibration` serves INT8 only; `size` of the input is as in `tinydet export --size`, None as trained.
    """
    out = folder / "-".join([file_format, precision, *([size] if size is not None else [])])
    command = ["export", "n", "--format", file_format, "--precision", precision, "--out", str(out)]
    command += ["--calibration", str(calibration)] if precision == "int8" else []
    _run([*command, *(["--size", size] if size is not None else [])], out, calibration)
    (artifact,) = out.glob(f"*.{ENDINGS[file_format]}")
    return artifact


def _run(command: list[str], result: Path, *read: Path) -> Path:
    """Run it unless it has made `result` before, from the same sources and the same files in the folders `read`."""
    made = result / f".made-{_digest(command, read)}"
    if made.exists():
        terminal.say(f"made before: {result}")
        return result
    for outdated in result.glob(".made-*"):
        outdated.unlink()
    terminal.say(f"$ tinydet {shlex.join(command)}")
    if dispatch(command):  # it has said why
        raise InputError(f"tinydet {command[0]} failed: {result} was not made")
    made.touch()
    return result


def _digest(command: Sequence[str], read: Sequence[Path]) -> str:
    """Of the command, tinydet's own sources and checkpoints, and the names and sizes in the folders `read`."""
    digest = sha256("\0".join(command).encode())
    tree = Path(tinydet.__file__).parent
    for path in sorted(path for folder in PACKAGES for path in (tree / folder).rglob("*") if path.suffix in SOURCES):
        digest.update(path.read_bytes())
    for path in sorted(path for folder in read for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path} {path.stat().st_size}".encode())
    return digest.hexdigest()[:16]

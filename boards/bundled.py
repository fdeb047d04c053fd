"""What the verify targets run on: artifacts of the bundled `n` and images for it, made by the commands a user types."""

from __future__ import annotations

import shlex
from pathlib import Path

from edge import terminal
from edge.cli import main as tinydet
from edge.errors import InputError

#: Format of `tinydet export` -> ending of the file that is loaded.
ENDINGS = {"onnx": "onnx", "openvino": "xml", "tflite": "tflite"}
SEEDS = {"train": 9001, "val": 9002}  # scenes that the weights were not trained on


def render_scenes(folder: Path, *, split: str, images: int) -> Path:
    """Draw `images` scenes into the data set `folder`; the same ones every time. Returns `folder`."""
    size = ["--images", str(images), "--seed", str(SEEDS[split])]
    return _run(["data", "render", "--margin", "1", "--out", str(folder), "--split", split, *size], folder)


def export_n(folder: Path, *, file_format: str, precision: str, calibration: Path) -> Path:
    """Export `n` into a folder of its own below `folder`; returns the artifact. `calibration` serves INT8 only."""
    out = folder / f"{file_format}-{precision}"
    command = ["export", "n", "--format", file_format, "--precision", precision, "--out", str(out)]
    _run([*command, *(["--calibration", str(calibration)] if precision == "int8" else [])], out)
    (artifact,) = out.glob(f"*.{ENDINGS[file_format]}")
    return artifact


def _run(command: list[str], result: Path) -> Path:
    terminal.say(f"$ tinydet {shlex.join(command)}")
    if tinydet(command):  # it has said why
        raise InputError(f"tinydet {command[0]} failed: {result} was not made")
    return result

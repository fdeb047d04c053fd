"""Checkpoints: a safetensors file, never pickle, with the model's state dict and JSON metadata in its header."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tinydet.edge.artifact import METADATA_KEY
from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import atomic_path
from tinydet.training.model import ModelConfig, TinyDetector, build_detector

CHECKPOINT_SCHEMA = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedDetector:
    """A checkpoint read from a file.

    model: in eval mode. input_px: side of the input it was trained for. sha256: hash of the file.
    training: recipe, epoch and accuracy of the run that wrote it.
    """

    model: TinyDetector
    input_px: int
    sha256: str
    training: dict[str, Any]


def save_detector(path: Path, model: TinyDetector, *, input_px: int, training: dict[str, Any]) -> None:
    """Write `model` to `path`, atomically."""
    metadata = {
        "schema": CHECKPOINT_SCHEMA,
        "model": model.config.as_dict(),
        "input_px": input_px,
        "training": training,
    }
    save_tensors(path, model.state_dict(), metadata)


def load_detector(path: Path) -> LoadedDetector:
    """Read a checkpoint that `save_detector` wrote. Raises `InputError` for any other file."""
    tensors, metadata = load_tensors(path)
    if "quantized" in metadata:
        raise InputError(
            f"{path} is quantized already: expected a float checkpoint; `tinydet export {path}` makes artifacts"
        )
    if metadata.get("schema") != CHECKPOINT_SCHEMA or "model" not in metadata:
        raise InputError(
            f"{path} is not a tinydet checkpoint of schema {CHECKPOINT_SCHEMA} (it has {metadata.get('schema')!r}): "
            "expected best.safetensors or last.safetensors of a training run"
        )
    config = ModelConfig.from_dict(metadata["model"])
    model = build_detector(config)
    load_weights(model, tensors, source=str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return LoadedDetector(
        model=model.eval(), input_px=metadata["input_px"], sha256=sha256, training=metadata["training"]
    )


def load_weights(model: TinyDetector, tensors: dict[str, Tensor], *, source: str) -> None:
    """Copy `tensors` into `model`. Raises `InputError` that names the first tensor missing or of another shape."""
    expected = model.state_dict()
    for name in expected.keys() | tensors.keys():
        want, got = expected.get(name), tensors.get(name)
        if want is None or got is None or want.shape != got.shape:
            shapes = [tuple(tensor.shape) if tensor is not None else "nothing" for tensor in (want, got)]
            raise InputError(
                f"{source} does not fit this model: {name} should be {shapes[0]}, the file has {shapes[1]}"
            )
    model.load_state_dict(tensors)


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON metadata to one safetensors file, atomically."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata={METADATA_KEY: json.dumps(metadata)})
        except SafetensorError as error:  # raised for a full disk, too
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote. Raises `InputError` if the file is missing, truncated or of another kind."""
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or not a safetensors file: {error}") from error
    if METADATA_KEY not in header:
        raise InputError(f"{path} was not written by tinydet: its header has no {METADATA_KEY!r}")
    return tensors, json.loads(header[METADATA_KEY])

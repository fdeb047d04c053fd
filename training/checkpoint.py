"""Checkpoints: a safetensors file, never pickle, with the model's state dict and JSON metadata in its header."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tinydet.edge.artifact import LARGEST_SIDE_PX, METADATA_KEY, WEIGHTS_KEY
from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import parse_json
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.regular_file import file_sha256
from tinydet.edge.files.safetensors_header import SafetensorsHeader, read_header
from tinydet.edge.files.schema import validated
from tinydet.edge.files.writing import atomic_path
from tinydet.edge.runtimes.compile_cache import Tried
from tinydet.edge.runtimes.metadata import check_sum, check_weights
from tinydet.training.earlier_versions import upgraded
from tinydet.training.model import SIZE_MULTIPLE, ModelConfig, TinyDetector, build_detector

CHECKPOINT_SCHEMA = 1


class _Side:
    """Sides of an input that the network takes."""

    def holds(self, value: int) -> bool:
        return SIZE_MULTIPLE <= value <= LARGEST_SIDE_PX and value % SIZE_MULTIPLE == 0

    def __str__(self) -> str:
        return f"a multiple of {SIZE_MULTIPLE} up to {LARGEST_SIDE_PX}"


SidePx = Annotated[int, _Side()]


@dataclass(frozen=True, kw_only=True)
class CheckpointMetadata:
    """Metadata of a checkpoint; see `LoadedDetector`."""

    schema: Literal[1]
    model: ModelConfig
    input_px: SidePx
    training: dict[str, Any]


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
    with ThreadPoolExecutor(1) as pool:
        sha256 = pool.submit(file_sha256, path)  # beside the rest, which takes longer
        tensors, content = load_tensors(path)
        if "quantized" in content:
            raise InputError(
                f"{path} is quantized already: expected a float checkpoint; `tinydet export {path}` makes artifacts"
            )
        if content.get("schema") != CHECKPOINT_SCHEMA or "model" not in content:
            raise InputError(
                f"{printable(path)} is not a tinydet checkpoint of schema {CHECKPOINT_SCHEMA} "
                f"(it has {shown(content.get('schema'))}): "
                "expected best.safetensors or last.safetensors of a training run"
            )
        metadata = validated(upgraded(content), CheckpointMetadata, source=printable(path))
        model = load_model(metadata.model, tensors, source=printable(path))
    tried = Tried(sha256.result(), torch.__version__)
    if not tried:
        with torch.no_grad():
            raw = model(torch.full((1, 3, SIZE_MULTIPLE, SIZE_MULTIPLE), 0.5))
        check_outputs([*raw.logits, *raw.distances], source=printable(path))
        tried.remember()
    return LoadedDetector(model=model, input_px=metadata.input_px, sha256=sha256.result(), training=metadata.training)


def load_model(config: ModelConfig, tensors: Mapping[str, Tensor], *, source: str) -> TinyDetector:
    """Build a detector that holds `tensors` as its weights, in eval mode. Raises `InputError` as `load_weights`."""
    model = build_detector(config).eval()
    load_weights(model, tensors, source=source)
    return model


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Make `tensors` the weights of `module`.

    Raises:
        InputError: a tensor is missing, unknown, of another type or shape, or not finite, or a variance is negative;
            the message names it.
    """
    expected = module.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        want, got = expected.get(name), tensors.get(name)
        if want is None or got is None or want.shape != got.shape or want.dtype != got.dtype:
            kinds = [
                f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}" if tensor is not None else "nothing"
                for tensor in (want, got)
            ]
            raise InputError(
                f"{source} does not fit this model: {printable(name)} should be {kinds[0]}, the file has {kinds[1]}"
            )
    check_tensors_finite(tensors, source=source)
    check_variances(tensors, source=source)
    module.load_state_dict(tensors, assign=True)


def check_outputs(outputs: Iterable[Tensor], *, source: str) -> None:
    """Check that a network's outputs are finite. Raises `InputError` otherwise."""
    if not all(torch.isfinite(output).all() for output in outputs):
        raise InputError(f"{source}: the network gives NaN or infinity: train it again")


def check_tensors_finite(tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Check that all numbers are finite. Raises `InputError` that names the first tensor with one that is not."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not _is_finite(tensor):
            count = int((~torch.isfinite(tensor)).sum())
            raise InputError(f"{source}: {count} of {tensor.numel()} numbers of {printable(name)} are NaN or infinite")


def check_variances(tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Check that the variances of BatchNorms are not negative. Raises `InputError` that names the first that is."""
    for name, tensor in tensors.items():
        if name.endswith("running_var") and float(tensor.min()) < 0:
            raise InputError(f"{source}: {printable(name)} holds a negative variance: train it again")


def _is_finite(tensor: Tensor) -> bool:
    """A sum is NaN or infinite where a number is; it is a tenth of the work, and may overflow: then look at each."""
    if tensor.dtype == torch.float32:
        with np.errstate(all="ignore"):
            if np.isfinite(tensor.numpy().sum()):
                return True
    return bool(torch.isfinite(tensor).all())


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors, JSON metadata and a check sum of the tensors to one safetensors file, atomically."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({**metadata, WEIGHTS_KEY: _check_sum(contiguous)}, allow_nan=False)
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata={METADATA_KEY: text})
        except SafetensorError as error:  # raised for a full disk, too
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote. Raises `InputError` if the file is missing, damaged or of another kind."""
    header, metadata = _read_metadata(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in header.tensors}
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = printable(error)
        raise InputError(f"{printable(path)} is damaged or not a safetensors file: {reason}") from error
    expected = metadata.pop(WEIGHTS_KEY, None)
    check_weights(_check_sum(tensors), None if expected is None else str(expected), path)
    return tensors, metadata


def load_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a file of `save_tensors`, without its tensors. Raises `InputError` as `load_tensors`."""
    return _read_metadata(path)[1]


def _read_metadata(path: Path) -> tuple[SafetensorsHeader, dict[str, Any]]:
    header = read_header(path)
    if METADATA_KEY not in header.metadata:
        raise InputError(f"{printable(path)} was not written by tinydet: its header has no {METADATA_KEY!r}")
    metadata = parse_json(header.metadata[METADATA_KEY], source=f"{printable(path)}: metadata")
    if not isinstance(metadata, dict):
        raise InputError(f"{printable(path)}: metadata: expected an object, got {shown(metadata)}")
    return header, metadata


def _check_sum(tensors: Mapping[str, Tensor]) -> str:
    """Of all tensors' bytes, in the order of their names."""
    flat = (tensors[name].reshape(-1).view(torch.uint8) for name in sorted(tensors))
    return check_sum(tensor.numpy().data for tensor in flat)

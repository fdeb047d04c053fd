"""Saved state of a training run, complete enough to resume bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import in_range
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.regular_file import kind_of
from tinydet.edge.files.schema import Length, Range, Sha256, validated
from tinydet.training.checkpoint import check_variances, save_tensors
from tinydet.training.earlier_versions import upgraded
from tinydet.training.engine.optimizer import check_tensor, optimizer_tensors, restore_optimizer
from tinydet.training.loss import DetectionLoss
from tinydet.training.model import TinyDetector

STATE_SCHEMA = 2
NEW_RUN = "start a new run in another --out folder"

Row = dict[str, Any]
"""Results of an epoch: `epoch`, `step`, losses, `AP` and the other metrics."""


def ap_of(row: Row) -> float:
    """AP of an epoch, 0 to 1."""
    return float(row["AP"])


def check_resume(state: Path, resume: bool) -> None:
    """Check that a run begins where there is none, or is resumed where there is one. Raises `InputError` otherwise."""
    exists = kind_of(state) is not None
    if exists and not resume:
        folder = printable(state.parent)
        raise InputError(f"{folder} holds a training run: add --resume to continue it, or choose another --out folder")
    if resume and not exists:
        raise InputError(f"nothing to resume: {printable(state)} does not exist")


def file_version(path: Path) -> tuple[int, int] | None:
    """Changes with every writing of the file; None without one."""
    if kind_of(path) is None:
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


@dataclass(frozen=True, kw_only=True)
class StateMetadata:
    """Metadata of a training state: the finished epochs, the recipe, and the results of each epoch.

    data: SHA-256 of the list of images and labels, by split; states of older versions have none.
    """

    state: Literal[2]
    epoch: Annotated[int, Range(0, 1_000_000)]
    recipe: dict[str, dict[str, Any]]
    history: Annotated[list[dict[str, int | float | None]], Length(1)]
    data: dict[str, Sha256] | None = None

    def __post_init__(self) -> None:
        for number, row in enumerate(self.history):
            place = f"history[{number}]"
            if row.keys() != self.history[-1].keys() and row.get("epoch") != 0:
                raise InputError(f"{place}: its metrics are not those of the last epoch")
            expected = self.epoch - len(self.history) + 1 + number
            if row.get("epoch") != expected:
                raise InputError(f"{place}.epoch: expected {expected}, got {row.get('epoch')}")
            if row.get("AP") is None:
                raise InputError(f"{place}.AP: expected a number, got nothing")


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner:
    """All that changes during training. average: moving average of the weights of `model`."""

    model: TinyDetector
    average: TinyDetector
    optimizer: torch.optim.Optimizer
    loss: DetectionLoss


def learner_tensors(learner: Learner) -> dict[str, Tensor]:
    """All tensors of a training state, named `part/name`."""
    parts = {
        "model": learner.model.state_dict(),
        "average": learner.average.state_dict(),
        "optimizer": optimizer_tensors(learner.optimizer),
        "loss": learner.loss.state_dict(),
    }
    return {f"{part}/{name}": tensor for part, values in parts.items() for name, tensor in values.items()}


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first tensor that holds NaN or infinity; None if all are finite."""
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()}
    if bool(torch.nn.utils.get_total_norm(floats.values(), norm_type=torch.inf).isfinite()):
        return None
    return next((name for name, tensor in floats.items() if not bool(tensor.isfinite().all())), None)


def save_state(path: Path, learner: Learner, **metadata: Any) -> None:
    """Save the state after an epoch; `metadata` are the fields of `StateMetadata` but `state`."""
    save_tensors(path, learner_tensors(learner), {"state": STATE_SCHEMA, **metadata})


def restore_state(
    tensors: dict[str, Tensor], metadata: dict[str, Any], learner: Learner, *, recipe: dict[str, Any], source: str
) -> StateMetadata:
    """Restore `learner` from what `load_tensors` read; returns the checked metadata.

    Raises:
        InputError: another recipe made the state (the message names the differing fields), or it is damaged: fields or
            tensors are missing, unknown, not finite, or of another shape.
    """
    state = check_same_recipe(metadata, recipe, source=source)
    for row in state.history:
        in_range(row["AP"], 0, 1, f"{source}: AP of epoch {row['epoch']}")
    parts = split_parts(tensors, ("model", "average", "optimizer", "loss"), source=source)
    load_module(learner.model, parts["model"], source=source)
    load_module(learner.average, parts["average"], source=source)
    both = zip(learner.model.parameters(), learner.average.parameters(), strict=True)
    unused = [parameter for parameter, averaged in both if torch.equal(parameter, averaged)]
    restore_optimizer(learner.optimizer, parts["optimizer"], unused=unused, source=source)
    load_module(learner.loss, parts["loss"], source=source)
    return state


def split_parts(tensors: dict[str, Tensor], parts: tuple[str, ...], *, source: str) -> dict[str, dict[str, Tensor]]:
    """Tensors named `part/name` by part and name. Raises `InputError` for other parts, NaN and infinity."""
    split: dict[str, dict[str, Tensor]] = {part: {} for part in parts}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        if part not in split:
            raise InputError(f"{source} is no training state: unexpected tensor {shown(key)}: {NEW_RUN}")
        split[part][name] = tensor
    broken = first_not_finite(tensors)
    if broken is not None:
        raise InputError(f"{source}: {broken} holds values that are not finite: {NEW_RUN}")
    return split


def load_module(module: nn.Module, tensors: dict[str, Tensor], *, source: str) -> None:
    """Copy `tensors` into `module`. Raises `InputError` that names a tensor missing, or of another shape or dtype."""
    expected, parameters = module.state_dict(), dict(module.named_parameters())
    for name in sorted(expected.keys() | tensors.keys()):
        want, got = expected.get(name), tensors.get(name)
        # Quantizers start without channels: their buffers take the shape that is loaded.
        if name in parameters or want is None or got is None or want.dtype != got.dtype:
            check_tensor(want, got, f"{source}: {name}")
    check_variances(tensors, source=source)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{source}: {printable(str(error).splitlines()[-1].strip())}: {NEW_RUN}") from error


def check_same_recipe(metadata: dict[str, Any], recipe: dict[str, Any], *, source: str) -> StateMetadata:
    """Check the metadata of a training state, and that `recipe` made it; it may have more epochs.

    Raises:
        InputError: it is no state of this version, a field is damaged, or other fields of the recipe differ.
    """
    if metadata.get("state") != STATE_SCHEMA:
        raise InputError(f"{source} is not a training state of this version: {NEW_RUN}")
    state = validated(metadata, StateMetadata, source=source, fix=NEW_RUN)
    differing = differing_settings(upgraded(state.recipe), recipe)
    if differing == ["schedule.epochs"] and recipe["schedule"]["epochs"] > state.epoch:
        differing = []
    if differing:
        raise InputError(
            f"{source} was written by a recipe with other {', '.join(differing)}: "
            "resume with the recipe that started the run, or choose another --out folder"
        )
    return state


def differing_settings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names `table.field` of the settings that differ. An empty setting equals one that older recipes did not have."""
    now = json.loads(json.dumps(now))  # `before` was read from JSON, which has lists for tuples
    return sorted(
        f"{table}.{name}"
        for table in before.keys() | now.keys()
        for name in before.get(table, {}).keys() | now.get(table, {}).keys()
        if (before.get(table, {}).get(name) or None) != (now.get(table, {}).get(name) or None)
    )

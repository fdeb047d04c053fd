"""Saved state of a training run, complete enough to resume bit for bit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import load_weights, save_tensors
from tinydet.training.engine.optimizer import optimizer_tensors, restore_optimizer
from tinydet.training.loss import DetectionLoss
from tinydet.training.model import TinyDetector

STATE_SCHEMA = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner:
    """All that changes during training. average: moving average of the weights of `model`."""

    model: TinyDetector
    average: TinyDetector
    optimizer: torch.optim.Optimizer
    loss: DetectionLoss


def save_state(path: Path, learner: Learner, *, epoch: int, recipe: dict[str, Any], history: list[Any]) -> None:
    """Save the state after `epoch` epochs, with the recipe and the metrics so far."""
    parts = {
        "model": learner.model.state_dict(),
        "average": learner.average.state_dict(),
        "optimizer": optimizer_tensors(learner.optimizer),
        "loss": learner.loss.state_dict(),
    }
    tensors = {f"{part}/{name}": tensor for part, values in parts.items() for name, tensor in values.items()}
    save_tensors(path, tensors, {"state": STATE_SCHEMA, "epoch": epoch, "recipe": recipe, "history": history})


def restore_state(
    tensors: dict[str, Tensor], metadata: dict[str, Any], learner: Learner, *, recipe: dict[str, Any], source: str
) -> tuple[int, list[Any]]:
    """Restore `learner` from what `load_tensors` read; returns the finished epochs and the metrics so far.

    Raises `InputError` that names the differing fields if another recipe made the state.
    """
    check_same_recipe(metadata, recipe, source=source)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}, "loss": {}}
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        parts[part][name] = tensor
    load_weights(learner.model, parts["model"], source=source)
    load_weights(learner.average, parts["average"], source=source)
    restore_optimizer(learner.optimizer, parts["optimizer"])
    learner.loss.load_state_dict(parts["loss"])
    return metadata["epoch"], metadata["history"]


def check_same_recipe(metadata: dict[str, Any], recipe: dict[str, Any], *, source: str) -> None:
    """Raise `InputError` that names the differing fields if another recipe made the state at `source`."""
    if metadata.get("state") != STATE_SCHEMA:
        raise InputError(f"{source} is not a training state of this version: start a new run in another --out folder")
    differing = _differences(metadata["recipe"], recipe)
    if differing:
        raise InputError(
            f"{source} was written by a recipe with other {', '.join(differing)}: "
            "resume with the recipe that started the run, or choose another --out folder"
        )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names `table.field` of the settings that differ. An empty setting equals one that older recipes did not have."""
    now = json.loads(json.dumps(now))  # `before` was read from JSON, which has lists for tuples
    return sorted(
        f"{table}.{name}"
        for table in before.keys() | now.keys()
        for name in before.get(table, {}).keys() | now.get(table, {}).keys()
        if (before.get(table, {}).get(name) or None) != (now.get(table, {}).get(name) or None)
    )

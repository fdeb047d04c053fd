"""The network a run starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import load_detector
from tinydet.training.model import TinyDetector, build_detector, model_config
from tinydet.training.recipes.recipe import Recipe
from tinydet.training.weights import bundled


def initial_model(recipe: Recipe) -> TinyDetector:
    """The recipe's network with ImageNet, random, bundled or a checkpoint's weights.

    A checkpoint of other classes is welcome: what it knows of a class carries over by name, a new class starts fresh.
    Raises `InputError` when it holds a network of another build, naming the fields that differ.
    """
    settings = recipe.model
    config = model_config(settings.size, recipe.data.classes, neck=settings.neck, cem=settings.cem, fbsm=settings.fbsm)
    model = build_detector(config, imagenet=settings.weights == "imagenet")
    if settings.weights not in ("imagenet", "random"):
        path = bundled(settings.weights) or Path(settings.weights)
        _copy_weights(model, load_detector(path).model, source=path)
    return model


def keep_statistics(backbone: nn.Module) -> None:
    """Normalize by the pretrained means and variances: those of small batches of crops are worse (docs/trials.md)."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def _copy_weights(model: TinyDetector, started: TinyDetector, *, source: Path) -> None:
    if replace(started.config, class_names=model.config.class_names) != model.config:
        now, then = model.config.as_dict(), started.config.as_dict()
        differing = [name for name in now if now[name] != then[name] and name != "class_names"]
        fields = ", ".join(f"{name} (recipe {now[name]}, file {then[name]})" for name in differing)
        raise InputError(f"{source} holds another network: {fields}")
    tensors = model.state_dict()
    names = model.config.class_names
    rows = {
        index: started.config.class_names.index(name)
        for index, name in enumerate(names)
        if name in started.config.class_names
    }
    for name, tensor in started.state_dict().items():
        if ".class_logits." not in name:
            tensors[name].copy_(tensor)
            continue
        for row, started_row in rows.items():
            tensors[name][row].copy_(tensor[started_row])

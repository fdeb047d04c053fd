"""Initial weights of a run: ImageNet, random, or a checkpoint's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import load_detector, load_metadata
from tinydet.training.engine.pretrained import load_pretrained
from tinydet.training.model import TinyDetector, build_detector, model_config
from tinydet.training.recipes.recipe import Recipe
from tinydet.training.weights import bundled_checkpoint


def initial_model(recipe: Recipe) -> TinyDetector:
    """Build the recipe's network with ImageNet weights, random ones, or those of a bundled or other checkpoint.

    A file of `tinydet distill` gives the backbone's weights.
    A checkpoint may have other classes: weights of a class carry over by name, new classes start at random.
    Raises `InputError` that names the differing fields if the checkpoint has another architecture.
    """
    settings = recipe.model
    config = model_config(
        settings.size,
        recipe.data.classes,
        backbone=settings.backbone,
        neck=settings.neck,
        cem=settings.cem,
        fbsm=settings.fbsm,
    )
    model = build_detector(config)
    if settings.weights == "imagenet":
        load_pretrained(model.backbone, config.backbone)
    elif settings.weights != "random":
        path = bundled_checkpoint(settings.weights) or Path(settings.weights)
        if "backbone" in load_metadata(path):
            load_pretrained(model.backbone, config.backbone, path)
        else:
            _copy_weights(model, load_detector(path).model, source=path)
    return model


def freeze_statistics(backbone: nn.Module) -> None:
    """Freeze the pretrained BatchNorm statistics: those of small batches of crops are worse (docs/trials.md)."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def _copy_weights(model: TinyDetector, started: TinyDetector, *, source: Path) -> None:
    if replace(started.config, class_names=model.config.class_names) != model.config:
        now, then = model.config.as_dict(), started.config.as_dict()
        differing = [name for name in now if now[name] != then[name] and name != "class_names"]
        fields = ", ".join(f"{name} (recipe {now[name]}, checkpoint {then[name]})" for name in differing)
        raise InputError(f"{source} has another architecture: {fields}")
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

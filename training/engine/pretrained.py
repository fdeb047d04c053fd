"""Pretrained weights of backbones: ImageNet's, or those that `tinydet distill` gave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.edge.files.schema import validated
from tinydet.training.checkpoint import load_tensors, load_weights
from tinydet.training.model.efficientnet_lite import EfficientNetLite, load_imagenet
from tinydet.training.weights import bundled_checkpoint


@dataclass(frozen=True, kw_only=True)
class PretrainedMetadata:
    """Metadata of a file with a backbone's weights."""

    backbone: Literal["fused0"]
    training: dict[str, Any]


def load_pretrained(backbone: nn.Module, name: str, path: Path | None = None) -> None:
    """Load weights into the backbone `name`: those of `path`, else ImageNet's, for fused0 by way of distillation.

    Raises:
        InputError: there are none for this backbone, or `path` is damaged or of another network.
        MissingExtraError: the package with the weights is not installed.
    """
    if isinstance(backbone, EfficientNetLite) and path is None:
        load_imagenet(backbone, name)
        return
    path = path or bundled_checkpoint(name)
    if path is None:
        raise InputError(f"no package has ImageNet weights for {name}: set model.weights = 'random'")
    tensors, metadata = load_tensors(path)
    found = validated(metadata, PretrainedMetadata, source=printable(path))
    if found.backbone != name:
        raise InputError(f"{printable(path)} has weights of the backbone {found.backbone}, the recipe's is {name}")
    load_weights(backbone, tensors, source=printable(path))

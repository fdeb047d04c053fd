"""Fields of a distillation recipe: the TOML file with all settings of `tinydet distill`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tinydet.edge.files.printable import printable
from tinydet.edge.files.schema import Length, PathText, Range, validated
from tinydet.training.recipes.overrides import read_overridden
from tinydet.training.recipes.recipe import OptimizerSettings, Pixels, ScheduleSettings, Share, Zoom, check_crops

DataSets = Annotated[tuple[PathText, ...], Length(1, 1000)]


@dataclass(frozen=True, kw_only=True)
class BackboneSettings:
    """The backbone that learns, and the one that it learns from, which has ImageNet weights."""

    student: Literal["fused0"] = "fused0"
    teacher: Literal["lite0"] = "lite0"


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Images to learn from; they need no labels. Paths are relative to the current folder.

    train: data sets (split train) or folders of images. val: those to measure on (split val).
    crop_px: side of the crops. scale: smallest and largest zoom, drawn log-uniformly.
    colour: strength of the colour jitter, 0 for none. grey: share of crops without colour; half of them are negatives.
    workers: processes that prepare batches; 0 prepares them in the training process.
    """

    train: DataSets
    val: DataSets
    crop_px: Pixels = 256
    scale: tuple[Zoom, Zoom] = (0.5, 2.0)
    colour: Annotated[float, Range(0, 10)] = 1.0
    grey: Share = 0.1
    workers: Annotated[int, Range(0, 256)] = 1

    def __post_init__(self) -> None:
        check_crops(self.scale, crop_px=self.crop_px)


@dataclass(frozen=True, kw_only=True)
class DistillationRecipe:
    """All settings of a distillation. `optimizer.backbone_factor` is the rate of the layers copied from the teacher."""

    data: ImageSettings
    schedule: ScheduleSettings
    model: BackboneSettings = field(default_factory=BackboneSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)

    def as_dict(self) -> dict[str, Any]:
        """Values as in the TOML file."""
        return asdict(self)


def read_distillation_recipe(path: Path, *, overrides: Sequence[str] = ()) -> DistillationRecipe:
    """Read the recipe at `path`; `overrides` are `table.field=value`. Raises `InputError` as `read_recipe`."""
    return validated(read_overridden(path, overrides), DistillationRecipe, source=printable(path))

"""Recipes of QAT: everything that decides how a fine-tuned INT8 network comes out, in one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.settings import parse_settings, read_toml
from tinydet.training.recipes.recipe import DataSettings, LossSettings, OptimizerSettings, ScheduleSettings


@dataclass(frozen=True, kw_only=True)
class FinetuningSettings:
    """distillation: weight of staying close to the float network's outputs, 0 is off.

    follow: share of the steps during which ranges follow what they see; they stand still for the rest.
    """

    distillation: float = 1.0
    follow: float = 0.3

    def __post_init__(self) -> None:
        if self.distillation < 0:
            raise InputError(f"qat.distillation is 0 or more, got {self.distillation}")
        if not 0 <= self.follow <= 1:
            raise InputError(f"qat.follow is a share between 0 and 1, got {self.follow}")


@dataclass(frozen=True, kw_only=True)
class QatRecipe:
    """One run of QAT. The tables of training mean what they mean there; `data.input_px` is the checkpoint's own."""

    data: DataSettings
    schedule: ScheduleSettings
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    qat: FinetuningSettings = field(default_factory=FinetuningSettings)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the TOML file."""
        return asdict(self)


def read_qat_recipe(path: Path, *, overrides: Sequence[str] = ()) -> QatRecipe:
    """The recipe at `path`; `overrides` are `table.field=value`.

    Raises `InputError` for an unknown, missing or mistyped field, naming the closest one there is.
    """
    return parse_settings(QatRecipe, read_toml(path, overrides), source=str(path))

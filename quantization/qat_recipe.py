"""QAT recipes: every setting of a fine-tuning run, in one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.files.settings import parse_settings, read_toml
from tinydet.training.recipes.recipe import DataSettings, LossSettings, OptimizerSettings, ScheduleSettings


@dataclass(frozen=True, kw_only=True)
class QatSettings:
    """distillation: weight of the loss that keeps outputs close to the float network's; 0 turns it off.

    follow: share of the steps during which ranges adapt to the activations; after that they are frozen.
    """

    distillation: float = 1.0
    follow: float = 0.3

    def __post_init__(self) -> None:
        if self.distillation < 0:
            raise InputError(f"qat.distillation has to be 0 or more, got {self.distillation}")
        if not 0 <= self.follow <= 1:
            raise InputError(f"qat.follow has to be between 0 and 1, got {self.follow}")


@dataclass(frozen=True, kw_only=True)
class QatRecipe:
    """One QAT run. Tables shared with training recipes mean the same; `data.input_px` is the checkpoint's own."""

    data: DataSettings
    schedule: ScheduleSettings
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    qat: QatSettings = field(default_factory=QatSettings)

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values, as in the TOML file."""
        return asdict(self)


def read_qat_recipe(path: Path, *, overrides: Sequence[str] = ()) -> QatRecipe:
    """Read the recipe at `path`; `overrides` are `table.field=value`.

    Raises `InputError` for an unknown, missing or mistyped field; for an unknown one it names the closest.
    """
    return parse_settings(QatRecipe, read_toml(path, overrides), source=str(path))

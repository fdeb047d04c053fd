"""QAT recipes: every setting of a fine-tuning run, in one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tinydet.edge.files.printable import printable
from tinydet.edge.files.schema import Range, validated
from tinydet.training.earlier_versions import upgraded
from tinydet.training.recipes.overrides import read_overridden
from tinydet.training.recipes.recipe import DataSettings, LossSettings, OptimizerSettings, ScheduleSettings, Share


@dataclass(frozen=True, kw_only=True)
class QatSettings:
    """distillation: weight of the loss that keeps outputs close to the float network's; 0 turns it off.

    follow: share of the steps during which ranges adapt to the activations; after that they are frozen.
    """

    distillation: Annotated[float, Range(0, 1e6)] = 1.0
    follow: Share = 0.3


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
    return validated(upgraded(read_overridden(path, overrides)), QatRecipe, source=printable(path))

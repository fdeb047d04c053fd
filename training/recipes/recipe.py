"""Fields of a recipe: the TOML file with all settings of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import PROTOCOLS
from tinydet.edge.files.printable import printable
from tinydet.edge.files.schema import Length, Name, PathText, Range, validated
from tinydet.training.earlier_versions import upgraded
from tinydet.training.model import SIZE_MULTIPLE, SIZES
from tinydet.training.model.config import BACKBONES, Fbsm
from tinydet.training.recipes.overrides import read_overridden

Balance = Literal["object", "band", "none"]
"""Gradient that DCLoss makes equal in all size bands: of one object, or of the band's objects together."""
Share = Annotated[float, Range(0, 1)]
Pixels = Annotated[int, Range(SIZE_MULTIPLE, 8192)]
Zoom = Annotated[float, Range(0.01, 100)]
LARGEST_RUN = 100_000_000
"""Optimizer steps; the longest recipe that comes with tinydet has 25 200."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def check_crops(scale: tuple[float, float], **sides_px: int) -> None:
    """Check settings of crops, the sides by their names. Raises `InputError` that names the field."""
    for name, value in sides_px.items():
        _require(value % SIZE_MULTIPLE == 0, f"data.{name}: expected a multiple of {SIZE_MULTIPLE}, got {value}")
    _require(scale[0] <= scale[1], f"data.scale is [smallest, largest], got {list(scale)}")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Network and initial weights.

    size: model size: "n", "s", "m" or "r50".
    weights: "imagenet", "random", or the checkpoint to fine-tune: a bundled size or a file, of these or other classes.
    backbone: another backbone than the size's, one of `tinydet.training.model.config.BACKBONES`.
    neck: "efpn-bs", or "fpn" for the plain baseline.
    cem: use this module of E-FPN-BS.
    fbsm: use of FBSM's masks: "gate" multiplies features with them, "teacher" only trains them and leaves them out of
        inference, "off" has none.
    """

    size: str
    weights: PathText = "imagenet"
    backbone: Name | None = None
    neck: Literal["efpn-bs", "fpn"] = "efpn-bs"
    cem: bool = True
    fbsm: Fbsm = "gate"

    def __post_init__(self) -> None:
        _require(self.size in SIZES, f"model.size is one of {', '.join(SIZES)}, got {self.size!r}")
        known = self.backbone in (None, *BACKBONES)
        _require(known, f"model.backbone is one of {', '.join(BACKBONES)}, got {self.backbone!r}")


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Loss and label assignment.

    balance: gradient that DCLoss makes equal in all size bands: "object", that of one object; "band", that of all
        objects of a band together; "none" turns DCLoss off.
    nwd: compare boxes by NWD beside IoU in the dynamic assigner.
    by_size: share of the run in which E-FPN-BS assigns by size, before the dynamic assigner takes over.
    """

    balance: Balance = "object"
    nwd: bool = True
    by_size: Share = 0.5


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Data sets and augmentation. Paths are relative to the current folder.

    train: data sets to train on together. val: data set to validate on.
    classes: classes to detect, by their names in the data sets. A class that a data set does not have is neither
        positive nor negative in its images.
    map: new name of classes by their name in the data sets: renames classes, or merges them into one of `classes`.
    ignore: classes of the data sets whose boxes are ignored regions, neither object nor background.
    skip: training images to leave out after each one that is kept, for frames that are near copies of their neighbours.
    input_px: side of the deployed input; validation letterboxes images to it.
    crop_px: side of the training crops.
    scale: smallest and largest zoom of training images, drawn log-uniformly.
    mosaic: share of samples that are mosaics of four crops.
    colour: strength of the colour jitter, 0 for none.
    workers: processes that prepare batches; 0 prepares them in the training process.
    tile_px: side of overlapping tiles into which larger training images are cut, all of equal weight; validation then
        uses tiles of input_px. 0 draws crops from whole images.
    tile_overlap_px: smallest overlap of training tiles; the side of the largest object is a good value.
    cache_gb: memory for decoded training images in each process, used if all of them fit.
    protocol: protocol of validation, a name in `tinydet.edge.evaluation.average_precision.PROTOCOLS`.
    """

    train: Annotated[tuple[PathText, ...], Length(1, 1000)]
    val: PathText
    classes: Annotated[tuple[Name, ...], Length(1, 10_000)]
    map: dict[str, str] = field(default_factory=dict)
    ignore: tuple[Name, ...] = ()
    skip: Annotated[int, Range(0, 1_000_000)] = 0
    input_px: Pixels = 640
    crop_px: Pixels = 320
    scale: tuple[Zoom, Zoom] = (0.75, 2.0)
    mosaic: Share = 0.5
    colour: Annotated[float, Range(0, 10)] = 1.0
    workers: Annotated[int, Range(0, 256)] = 1
    tile_px: Annotated[int, Range(0, 8192)] = 0
    tile_overlap_px: Annotated[int, Range(0, 8192)] = 64
    cache_gb: Annotated[float, Range(0, 10_000)] = 4.0
    protocol: str = "ai-tod"

    def __post_init__(self) -> None:
        _require(len(set(self.classes)) == len(self.classes), "data.classes lists a class twice")
        for old, new in self.map.items():
            _require(new in self.classes, f"data.map renames {old!r} to {new!r}, which is not in data.classes")
        for name in self.classes:
            gone = name in self.ignore or (name in self.map and name not in self.map.values())
            _require(
                not gone, f"data.classes has {name!r}, which data.map renames or data.ignore ignores: leave one out"
            )
        check_crops(self.scale, input_px=self.input_px, crop_px=self.crop_px)
        _require(
            self.tile_px == 0 or self.tile_overlap_px < self.tile_px,
            f"data.tile_overlap_px is smaller than data.tile_px ({self.tile_px}), got {self.tile_overlap_px}",
        )
        known = ", ".join(PROTOCOLS)
        _require(self.protocol in PROTOCOLS, f"data.protocol is one of {known}, got {self.protocol!r}")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Optimizer.

    name: "adamw" or "sgd" (Nesterov momentum 0.9).
    learning_rate: peak rate, reached after the warm-up; with AdamW, layers that read more channels than the pyramid has
        learn at a lower rate (`tinydet.training.engine.optimizer`).
    backbone_factor: learning rate of the backbone, as a share of learning_rate.
    weight_decay: weight decay, of convolution weights only.
    clip_norm: largest gradient norm; larger gradients are scaled down to it.
    ema_decay: decay of the moving average of the weights, which is validated and saved.
    """

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Range(0, 10, above=True)] = 1e-3
    backbone_factor: Annotated[float, Range(0, 100)] = 1.0
    weight_decay: Annotated[float, Range(0, 10)] = 0.02
    clip_norm: Annotated[float, Range(0, 1e6, above=True)] = 10.0
    ema_decay: Share = 0.999

    def __post_init__(self) -> None:
        _require(self.ema_decay < 1, "optimizer.ema_decay: expected less than 1, or the average never changes")


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """Length of the run.

    epochs: number of epochs; each ends with validation and a saved state.
    steps_per_epoch: optimizer steps of an epoch.
    batch: images of a step, of all processes together.
    warmup_steps: steps of linear warm-up before the cosine decay.
    seed: seed of initial weights, order of images and augmentation.
    compile: compile the network with torch.compile: faster steps, a minute of delay; needs a C++ compiler.
    """

    epochs: Annotated[int, Range(1, 1_000_000)]
    steps_per_epoch: Annotated[int, Range(1, 10_000_000)]
    batch: Annotated[int, Range(1, 65536)] = 8
    warmup_steps: Annotated[int, Range(0, 10_000_000)] = 100
    seed: Annotated[int, Range(0)] = 0
    compile: bool = False

    def __post_init__(self) -> None:
        _require(
            self.total_steps <= LARGEST_RUN,
            f"schedule has {self.epochs} epochs of {self.steps_per_epoch} steps: expected {LARGEST_RUN} steps at most",
        )

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the run."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a training run. Two runs of a recipe on one machine give the same weights."""

    model: ModelSettings
    data: DataSettings
    schedule: ScheduleSettings
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)

    def as_dict(self) -> dict[str, Any]:
        """Values as in the TOML file."""
        return asdict(self)


def read_recipe(path: Path, *, data: str | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe at `path`; `data` replaces train and val, `overrides` are `table.field=value`.

    Raises `InputError` for an unknown field, naming the closest, and for a missing or mistyped one.
    """
    values = upgraded(read_overridden(path, overrides))
    if data is not None:
        table = values.setdefault("data", {})
        if isinstance(table, dict):  # anything else is refused below
            table |= {"train": [data], "val": data}
    return validated(values, Recipe, source=printable(path))

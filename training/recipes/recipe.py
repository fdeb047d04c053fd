"""Recipes: everything that decides how a detector comes out, in one TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import PROTOCOLS
from tinydet.edge.settings import apply_override, parse_settings, read_toml
from tinydet.training.model import SIZE_MULTIPLE, SIZES


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """size: row of the size table. weights: "imagenet", "random", or what to fine-tune: a bundled size
        or a checkpoint, of these or other classes.

    neck: "efpn-bs", or "fpn" for the plain baseline. cem, fbsm: the two modules of E-FPN-BS.
    """

    size: str
    weights: str = "imagenet"
    neck: str = "efpn-bs"
    cem: bool = True
    fbsm: bool = True

    def __post_init__(self) -> None:
        _require(self.size in SIZES, f"model.size is one of {', '.join(SIZES)}, got {self.size!r}")


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """dcloss: balance gradients over object scales. nwd: the dynamic assigner compares boxes by NWD beside IoU.

    by_size: share of the run in which E-FPN-BS assigns by size alone, before the dynamic assigner takes over.
    """

    dcloss: bool = True
    nwd: bool = True
    by_size: float = 0.5

    def __post_init__(self) -> None:
        _require(0 <= self.by_size <= 1, f"loss.by_size is a share between 0 and 1, got {self.by_size}")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """train: dataset folders, read as one set. val: dataset folder. Paths are relative to the current folder.

    classes: what to detect; matched by name to each data set's categories. A class that a data set does not have
        is neither positive nor negative in its images.
    input_px: side of the deployed input; validation letterboxes to it. crop_px: side of the training crops.
    scale: smallest and largest zoom of a training image, drawn log-uniformly.
    mosaic: share of samples put together from four crops. colour: strength of the colour jitter, 0 is none.
    workers: processes that prepare batches; 0 prepares them in the training process.
    tile_px: cut larger training images into overlapping tiles of this side, give every tile equal weight, and validate
        in tiles of input_px; 0 draws crops from whole images. tile_overlap_px: by how much training tiles overlap at
        least; take the largest object's side.
    cache_gb: decoded training images are kept in memory, by each process, if all of them fit.
    protocol: how validation is scored, a name in `tinydet.edge.evaluation.average_precision.PROTOCOLS`.
    """

    train: tuple[str, ...]
    val: str
    classes: tuple[str, ...]
    input_px: int = 640
    crop_px: int = 320
    scale: tuple[float, float] = (0.75, 2.0)
    mosaic: float = 0.5
    colour: float = 1.0
    workers: int = 1
    tile_px: int = 0
    tile_overlap_px: int = 64
    cache_gb: float = 4.0
    protocol: str = "ai-tod"

    def __post_init__(self) -> None:
        _require(len(self.train) > 0, "data.train names no dataset folder")
        _require(len(self.classes) > 0, "data.classes names no class")
        _require(len(set(self.classes)) == len(self.classes), "data.classes names a class twice")
        for name in ("input_px", "crop_px"):
            value = getattr(self, name)
            _require(
                value > 0 and value % SIZE_MULTIPLE == 0, f"data.{name} is a multiple of {SIZE_MULTIPLE}, got {value}"
            )
        _require(
            0 < self.scale[0] <= self.scale[1], f"data.scale is [smallest, largest] above 0, got {list(self.scale)}"
        )
        _require(0 <= self.mosaic <= 1, f"data.mosaic is a share between 0 and 1, got {self.mosaic}")
        _require(self.colour >= 0, f"data.colour is 0 or more, got {self.colour}")
        for name in ("workers", "tile_px", "cache_gb"):
            _require(getattr(self, name) >= 0, f"data.{name} is 0 or more, got {getattr(self, name)}")
        _require(
            self.tile_px == 0 or 0 <= self.tile_overlap_px < self.tile_px,
            f"data.tile_overlap_px is smaller than data.tile_px ({self.tile_px}), got {self.tile_overlap_px}",
        )
        known = ", ".join(PROTOCOLS)
        _require(self.protocol in PROTOCOLS, f"data.protocol is one of {known}, got {self.protocol!r}")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """name: "adamw" or "sgd" (Nesterov momentum 0.9). learning_rate: the peak, reached after the warm-up; with AdamW
        less for new layers that read more channels than the pyramid has (`tinydet.training.engine.optimizer`).

    backbone_factor: pretrained backbone layers learn at this share of it. clip_norm: largest gradient norm.
    ema_decay: of the weight average that is validated and shipped.
    """

    name: str = "adamw"
    learning_rate: float = 1e-3
    backbone_factor: float = 1.0
    weight_decay: float = 0.02
    clip_norm: float = 10.0
    ema_decay: float = 0.999

    def __post_init__(self) -> None:
        _require(self.name in ("adamw", "sgd"), f'optimizer.name is "adamw" or "sgd", got {self.name!r}')
        for name in ("learning_rate", "clip_norm"):
            _require(getattr(self, name) > 0, f"optimizer.{name} is above 0, got {getattr(self, name)}")
        _require(0 <= self.ema_decay < 1, f"optimizer.ema_decay lies in [0, 1), got {self.ema_decay}")


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """epochs of steps_per_epoch batches; an epoch ends with validation and a saved state.

    batch: images a step, over all processes together. warmup_steps: linear warm-up before the cosine.
    seed: of weights, order and augmentation.
    compile: speed the network up with torch.compile, which takes a minute at the start and needs a C++ compiler.
    """

    epochs: int
    steps_per_epoch: int
    batch: int = 8
    warmup_steps: int = 100
    seed: int = 0
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch"):
            _require(getattr(self, name) > 0, f"schedule.{name} is 1 or more, got {getattr(self, name)}")
        _require(self.warmup_steps >= 0, f"schedule.warmup_steps is 0 or more, got {self.warmup_steps}")
        _require(self.seed >= 0, f"schedule.seed is 0 or more, got {self.seed}")

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run. Two runs of one recipe on one machine give the same weights."""

    model: ModelSettings
    data: DataSettings
    schedule: ScheduleSettings
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the TOML file."""
        return asdict(self)


def read_recipe(path: Path, *, data: str | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe at `path`; `data` replaces both dataset folders, `overrides` are `table.field=value`.

    Raises `InputError` for an unknown, missing or mistyped field, naming the closest one there is.
    """
    values = read_toml(path, overrides)
    if data is not None:
        apply_override(values, f"data.train=[{data!r}]")
        apply_override(values, f"data.val={data!r}")
    return parse_settings(Recipe, values, source=str(path))

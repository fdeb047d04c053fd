"""Fields of a recipe: the TOML file with all settings of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import PROTOCOLS
from tinydet.edge.files.settings import apply_override, parse_settings, read_toml
from tinydet.training.model import SIZE_MULTIPLE, SIZES


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Network and initial weights.

    size: model size: "n", "s", "m" or "r50".
    weights: "imagenet", "random", or the checkpoint to fine-tune: a bundled size or a file, of these or other classes.
    neck: "efpn-bs", or "fpn" for the plain baseline.
    cem, fbsm: use these modules of E-FPN-BS.
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
    """Loss and label assignment.

    dcloss: balance the gradient over object sizes.
    nwd: compare boxes by NWD beside IoU in the dynamic assigner.
    by_size: share of the run in which E-FPN-BS assigns by size, before the dynamic assigner takes over.
    """

    dcloss: bool = True
    nwd: bool = True
    by_size: float = 0.5

    def __post_init__(self) -> None:
        _require(0 <= self.by_size <= 1, f"loss.by_size is a share between 0 and 1, got {self.by_size}")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Data sets and augmentation. Paths are relative to the current folder.

    train: data sets to train on together. val: data set to validate on.
    classes: classes to detect, by their names in the data sets. A class that a data set does not have is neither
        positive nor negative in its images.
    map: new name of classes by their name in the data sets: renames classes, or merges them into one of `classes`.
    ignore: classes of the data sets whose boxes are ignored regions, neither object nor background.
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

    train: tuple[str, ...]
    val: str
    classes: tuple[str, ...]
    map: dict[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
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
        _require(len(self.train) > 0, "data.train is empty: expected one data set or more")
        _require(len(self.classes) > 0, "data.classes is empty: expected one class or more")
        _require(len(set(self.classes)) == len(self.classes), "data.classes lists a class twice")
        for old, new in self.map.items():
            _require(new in self.classes, f"data.map renames {old!r} to {new!r}, which is not in data.classes")
        for name in self.classes:
            gone = name in self.ignore or (name in self.map and name not in self.map.values())
            _require(
                not gone, f"data.classes has {name!r}, which data.map renames or data.ignore ignores: leave one out"
            )
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
    """Optimizer.

    name: "adamw" or "sgd" (Nesterov momentum 0.9).
    learning_rate: peak rate, reached after the warm-up; with AdamW, layers that read more channels than the pyramid has
        learn at a lower rate (`tinydet.training.engine.optimizer`).
    backbone_factor: learning rate of the backbone, as a share of learning_rate.
    weight_decay: weight decay, of convolution weights only.
    clip_norm: largest gradient norm; larger gradients are scaled down to it.
    ema_decay: decay of the moving average of the weights, which is validated and saved.
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
    """Length of the run.

    epochs: number of epochs; each ends with validation and a saved state.
    steps_per_epoch: optimizer steps of an epoch.
    batch: images of a step, of all processes together.
    warmup_steps: steps of linear warm-up before the cosine decay.
    seed: seed of initial weights, order of images and augmentation.
    compile: compile the network with torch.compile: faster steps, a minute of delay; needs a C++ compiler.
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
    values = read_toml(path, overrides)
    if data is not None:
        apply_override(values, f"data.train=[{data!r}]")
        apply_override(values, f"data.val={data!r}")
    return parse_settings(Recipe, values, source=str(path))

"""Distillation: a backbone learns another one's feature maps from images without labels (FitNets, arXiv:1412.6550)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from tinydet.edge.errors import InputError
from tinydet.edge.files.folder_lock import locked_folder
from tinydet.edge.files.regular_file import kind_of
from tinydet.edge.files.schema import Length, Range, Sha256, validated
from tinydet.edge.files.writing import check_target, writable_folder
from tinydet.training.checkpoint import load_tensors, save_tensors
from tinydet.training.data.batch import collate
from tinydet.training.data.crops import batches
from tinydet.training.data.fingerprint import fingerprint
from tinydet.training.data.image_crops import ImageCrops
from tinydet.training.engine.curves import write_metrics
from tinydet.training.engine.memory import is_out_of_memory, out_of_memory_error
from tinydet.training.engine.optimizer import (
    learning_rate,
    optimizer_of,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
    update_average,
)
from tinydet.training.engine.pretrained import PretrainedMetadata
from tinydet.training.engine.state import (
    NEW_RUN,
    check_resume,
    differing_settings,
    file_version,
    first_not_finite,
    load_module,
    split_parts,
)
from tinydet.training.model.efficientnet_lite import EfficientNetLite, load_imagenet
from tinydet.training.model.fused_lite import FusedLite
from tinydet.training.recipes.distillation_recipe import DistillationRecipe

STATE_FILE = "state.safetensors"
BACKBONE_FILE = "backbone.safetensors"
METRICS_FILE = "metrics.csv"
LEVELS = ("C2", "C3", "C4", "C5")
VAL_COLUMNS = tuple(f"val {level}" for level in LEVELS)
VAL_CROPS = 128
CROPS_FOR_VARIANCE = 64
VAL_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class DistillationState:
    """Metadata of a run's state: the finished epochs, the recipe, the results of each epoch, and hashes of the data."""

    distillation: Literal[1]
    epoch: Annotated[int, Range(1, 1_000_000)]
    recipe: dict[str, dict[str, Any]]
    history: Annotated[list[dict[str, int | float]], Length(1)]
    data: dict[str, Sha256]

    def __post_init__(self) -> None:
        names = ["epoch", "step", "loss", *VAL_COLUMNS]
        for number, row in enumerate(self.history, start=1):
            if list(row) != names or row["epoch"] != number or min(row.values()) < 0:
                raise InputError(f"history: row {number} is not the one of epoch {number}")
        if len(self.history) != self.epoch:
            raise InputError(f"history: expected {self.epoch} epochs, got {len(self.history)}")


class Progress(NamedTuple):
    """step: optimizer steps done. loss: of this step. row: results of the epoch if this step ended one."""

    step: int
    loss: float
    row: dict[str, Any] | None


class Distiller:
    """Runs a distillation recipe in a folder.

    The loss is the mean over C2 to C5 of the squared error, as a share of the variance of the teacher's channel: 1 is a
    student that knows each channel's mean only, 0 one that gives the teacher's features.

    The folder gets `backbone.safetensors` (averaged weights, for `model.weights` of a training recipe), `metrics.csv`
    and `state.safetensors` (to resume from). Raises `InputError` as `Trainer` does.
    """

    def __init__(self, recipe: DistillationRecipe, folder: Path, *, resume: bool = False) -> None:
        self.recipe = recipe
        self.folder = folder
        state = folder / STATE_FILE
        check_resume(state, resume)
        if not resume and kind_of(folder / BACKBONE_FILE) is not None:
            raise InputError(f"{folder / BACKBONE_FILE} exists: choose another --out folder")
        self._found = file_version(state)
        seed, count = recipe.schedule.seed, recipe.schedule.total_steps * recipe.schedule.batch
        self.crops = ImageCrops(recipe.data, split="train", seed=seed, length=count)
        self.val = ImageCrops(recipe.data, split="val", seed=seed, length=VAL_CROPS)
        self.data = {split.split: fingerprint(split.datasets.values()) for split in (self.crops, self.val)}
        writable_folder(folder)
        for name in (STATE_FILE, BACKBONE_FILE, METRICS_FILE):
            check_target(folder / name)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(seed)
        self.teacher = EfficientNetLite(recipe.model.teacher)
        load_imagenet(self.teacher, recipe.model.teacher)
        self.student = FusedLite()
        self.student.copy_top(self.teacher)
        for network in (self.teacher.eval().requires_grad_(False), self.student):
            network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # the overloads know no format
        self.average = copy.deepcopy(self.student).eval().requires_grad_(False)
        self.optimizer = _optimizer(self.student, recipe)
        self.network = torch.compile(self.student) if recipe.schedule.compile else self.student
        self.variances: list[Tensor] = []
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        if resume:
            self._restore(state)

    def run(self, watch: Callable[[Progress], None] = lambda progress: None) -> dict[str, Any]:
        """Distil to the end of the schedule; returns the results of the last epoch.

        Raises:
            InputError: another run writes into the folder, or did so since this distiller was made; the loss is not
                finite; an image cannot be read; the memory or the disk is full.
        """
        with locked_folder(self.folder):
            if file_version(self.folder / STATE_FILE) != self._found:
                raise InputError(f"another run wrote into {self.folder} meanwhile: choose another --out folder")
            try:
                return self._run(watch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise out_of_memory_error(self.recipe, self.device) from error

    def _run(self, watch: Callable[[Progress], None]) -> dict[str, Any]:
        schedule = self.recipe.schedule
        step = self.epoch * schedule.steps_per_epoch
        self.variances = self._teacher_variances()
        losses: list[float] = []
        for batch in batches(self.crops, batch=schedule.batch, first_step=step, workers=self.recipe.data.workers):
            losses.append(self._step(batch.to(self.device).images_nchw, step))
            step += 1
            row = None
            if step % schedule.steps_per_epoch == 0:
                row, losses = self._finish_epoch(step, losses), []
            watch(Progress(step, row["loss"] if row else losses[-1], row))
        return self.history[-1]

    def _step(self, images_nchw: Tensor, step: int) -> float:
        settings = self.recipe.optimizer
        set_learning_rate(self.optimizer, learning_rate(step, settings, self.recipe.schedule))
        self.student.train()
        loss = torch.stack(self._errors(self.network, images_nchw)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = float(torch.nn.utils.clip_grad_norm_(self.student.parameters(), settings.clip_norm))
        if not math.isfinite(norm):
            raise self._not_finite("the loss is not finite")
        self.optimizer.step()
        update_average(self.average, self.student, step=step, decay=settings.ema_decay)
        return float(loss.detach())

    def _errors(self, network: Callable[[Tensor], list[Tensor]], images_nchw: Tensor) -> list[Tensor]:
        """Share of the teacher's variance that `network` does not explain, by level."""
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            found = network(images_nchw)
        with torch.no_grad():
            wanted = self.teacher(images_nchw)
        return [
            ((have.float() - want).square().mean((0, 2, 3)) / variance).mean()
            for have, want, variance in zip(found, wanted, self.variances, strict=True)
        ]

    @torch.no_grad()
    def _teacher_variances(self) -> list[Tensor]:
        """Variance of each channel of the teacher's features over the first crops of val."""
        features = [
            [level.float() for level in self.teacher(images)] for images in self._val_batches(CROPS_FOR_VARIANCE)
        ]
        return [torch.cat(level).var((0, 2, 3)).clamp_min(1e-6) for level in zip(*features, strict=True)]

    def _val_batches(self, count: int) -> Iterator[Tensor]:
        """The first `count` crops of val, (16, 3, crop_px, crop_px) float in [0, 1] each."""
        for first in range(0, count, VAL_BATCH):
            batch = collate([self.val[index] for index in range(first, min(count, first + VAL_BATCH))])
            yield batch.to(self.device).images_nchw

    def _finish_epoch(self, step: int, losses: list[float]) -> dict[str, Any]:
        """Measure the averaged weights on val, then save everything; the state last, because it commits the epoch."""
        epoch = self.epoch + 1
        with torch.no_grad():
            errors = torch.stack([torch.stack(self._errors(self.average, x)) for x in self._val_batches(VAL_CROPS)])
        levels = dict(zip(VAL_COLUMNS, errors.mean(0).tolist(), strict=True))
        row = {"epoch": epoch, "step": step, "loss": sum(losses) / len(losses), **levels}
        tensors = self._tensors()
        broken = first_not_finite({**tensors, "the error on val": errors})
        if broken is not None:
            raise self._not_finite(f"{broken} is not finite")
        history = [*self.history, row]
        metadata = PretrainedMetadata(
            backbone=self.recipe.model.student,
            training={"recipe": self.recipe.as_dict(), "epoch": epoch, "val": row},
        )
        save_tensors(self.folder / BACKBONE_FILE, self.average.state_dict(), asdict(metadata))
        write_metrics(self.folder / METRICS_FILE, history)
        state = DistillationState(
            distillation=1, epoch=epoch, recipe=self.recipe.as_dict(), history=history, data=self.data
        )
        save_tensors(self.folder / STATE_FILE, tensors, asdict(state))
        self.epoch, self.history = epoch, history
        self._found = file_version(self.folder / STATE_FILE)
        return row

    def _tensors(self) -> dict[str, Tensor]:
        parts = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer),
        }
        return {f"{part}/{name}": tensor for part, values in parts.items() for name, tensor in values.items()}

    def _restore(self, path: Path) -> None:
        tensors, metadata = load_tensors(path)
        state = validated(metadata, DistillationState, source=str(path), fix=NEW_RUN)
        differing = differing_settings(state.recipe, self.recipe.as_dict())
        if differing and (differing != ["schedule.epochs"] or self.recipe.schedule.epochs < state.epoch):
            raise InputError(
                f"{path} was written by a recipe with other {', '.join(differing)}: "
                "resume with the recipe that started the run, or choose another --out folder"
            )
        if state.data != self.data:
            raise InputError(f"the images changed since epoch {state.epoch}: restore them, or {NEW_RUN}")
        parts = split_parts(tensors, ("student", "average", "optimizer"), source=str(path))
        load_module(self.student, parts["student"], source=str(path))
        load_module(self.average, parts["average"], source=str(path))
        restore_optimizer(self.optimizer, parts["optimizer"], unused=(), source=str(path))
        self.epoch, self.history = state.epoch, state.history

    def _not_finite(self, problem: str) -> InputError:
        return InputError(f"{problem}: lower optimizer.learning_rate; the run is saved up to epoch {self.epoch}")


def _optimizer(student: FusedLite, recipe: DistillationRecipe) -> torch.optim.Optimizer:
    """AdamW or SGD; the layers that were copied from the teacher learn at `backbone_factor` of the rate."""
    settings = recipe.optimizer
    copied = {id(parameter) for stage in student.copied_stages() for parameter in stage.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in student.parameters():
        factor = settings.backbone_factor if id(parameter) in copied else 1.0
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return optimizer_of(groups, settings)

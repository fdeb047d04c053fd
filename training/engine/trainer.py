"""Training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinydet.edge.datasets.classes import keep_classes
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import PROTOCOLS, Accuracy, measure_accuracy
from tinydet.edge.evaluation.evaluate import Slicing, detect_for_scoring
from tinydet.edge.files.folder_lock import locked_folder
from tinydet.edge.files.writing import write_json, write_text
from tinydet.training import distributed as processes
from tinydet.training.checkpoint import load_tensors, save_detector
from tinydet.training.data.batch import Batch
from tinydet.training.data.class_map import read_split
from tinydet.training.data.crops import TrainingCrops, batches
from tinydet.training.data.fingerprint import fingerprint
from tinydet.training.engine.curves import write_curves, write_metrics
from tinydet.training.engine.initial_weights import freeze_statistics, initial_model
from tinydet.training.engine.memory import is_out_of_memory, out_of_memory_error
from tinydet.training.engine.optimizer import build_optimizer, learning_rate, set_learning_rate, update_average
from tinydet.training.engine.state import (
    Learner,
    Row,
    StateMetadata,
    ap_of,
    check_resume,
    file_version,
    first_not_finite,
    learner_tensors,
    restore_state,
    save_state,
)
from tinydet.training.loss import Loss, build_assigner, build_loss
from tinydet.training.recipes.recipe import Recipe
from tinydet.training.torch_runtime import TorchRuntime

STATE_FILE = "state.safetensors"
BEST_FILE = "best.safetensors"
LAST_FILE = "last.safetensors"
BAD_BATCH_FILE = "bad-batch.json"
LAUNCH_FILE = "launch.txt"

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a training run, passed to its observer.

    step: optimizer steps done, of total_steps. epoch: epochs done. losses: losses of this step. metrics: metrics of the
    epoch if this step ended one, else None.
    """

    step: int
    total_steps: int
    epoch: int
    losses: dict[str, float]
    metrics: dict[str, Any] | None = None


class Trainer:
    """Trains a recipe into a folder.

    The folder gets `state.safetensors` (to resume from), `best.safetensors` and `last.safetensors` (averaged weights
    with the best AP on val, and of the last epoch), `metrics.csv` and `curves.png`. Raises `InputError` if the folder
    holds the run of another recipe or of data that changed since (unless `allow_changed_data`), or any run without
    `resume`. A resumed run may have more epochs; its learning rate then follows the longer schedule.

    Under torchrun every process builds a trainer and takes its share of every batch and of the validation images; only
    the first process reads and writes the folder. A process that torchrun restarted resumes by itself.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, resume: bool = False, allow_changed_data: bool = False) -> None:
        self.recipe = recipe
        self.folder = folder
        schedule = recipe.schedule
        if schedule.batch % processes.world_size():
            raise InputError(
                f"schedule.batch is {schedule.batch}, which {processes.world_size()} processes cannot share equally"
            )
        self._found = processes.run_on_first(lambda: file_version(folder / STATE_FILE))
        resume = processes.run_on_first(lambda: _resumes(folder, resume))
        # Errors in the data are raised before the folder is touched.
        self.crops = TrainingCrops(recipe.data, seed=schedule.seed, length=schedule.total_steps * schedule.batch)
        val = read_split(recipe.data, "val")
        _check_splits_agree(self.crops.datasets.get(recipe.data.val), val)
        self.val = keep_classes(val, recipe.data.classes)
        if all(record.is_crowd.all() for record in self.val.images):
            raise InputError(f"{recipe.data.val} has no object of {', '.join(recipe.data.classes)} to validate with")
        self.data = {"train": fingerprint(self.crops.datasets.values()), "val": fingerprint([val])}
        if not any((frame.class_ids >= 0).any() for frame in self.crops.frames):
            raise InputError(
                f"{', '.join(recipe.data.train)}: no object of {', '.join(recipe.data.classes)} to train on"
            )
        self.notes = [note for dataset in (*self.crops.datasets.values(), self.val) for note in dataset.notes]
        self.device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU
        self.learner = _new_learner(recipe, self.device)
        self.network = torch.compile(self.learner.model) if schedule.compile else self.learner.model
        self.epoch = 0
        self.history: list[Row] = []
        if resume:
            tensors, metadata = processes.run_on_first(lambda: load_tensors(folder / STATE_FILE))
            state = restore_state(
                tensors, metadata, self.learner, recipe=recipe.as_dict(), source=str(folder / STATE_FILE)
            )
            self.epoch, self.history = state.epoch, state.history
            self.notes += _resume_notes(state, recipe, self.data, allow_changed_data=allow_changed_data)

    def run(self, watch: Callable[[Progress], None] = lambda progress: None) -> dict[str, Any]:
        """Train to the end of the schedule; returns the metrics of the best epoch.

        Raises:
            InputError: another run writes into the folder, or did so since this trainer was made; the loss, a gradient
                or a weight is not finite; an image cannot be read; the memory or the disk is full.
        """
        with ExitStack() as held:
            processes.run_on_first(lambda: held.enter_context(locked_folder(self.folder)))
            if processes.run_on_first(lambda: file_version(self.folder / STATE_FILE)) != self._found:
                raise InputError(f"another run wrote into {self.folder} meanwhile: choose another --out folder")
            processes.run_on_first(lambda: _name_launch(self.folder))
            return self._run(watch)

    def _run(self, watch: Callable[[Progress], None]) -> dict[str, Any]:
        schedule = self.recipe.schedule
        step = self.epoch * schedule.steps_per_epoch
        stream = batches(self.crops, batch=schedule.batch, first_step=step, workers=self.recipe.data.workers)
        sums: dict[str, float] = {}
        for batch in stream:
            try:
                losses = self._step(batch, step)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise out_of_memory_error(self.recipe, self.device) from error
            step += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / schedule.steps_per_epoch
            if step % schedule.steps_per_epoch:
                watch(Progress(step=step, total_steps=schedule.total_steps, epoch=self.epoch, losses=losses))
                continue
            row = self._finish_epoch(step, sums)
            self._found = processes.run_on_first(lambda: file_version(self.folder / STATE_FILE))
            sums = {}
            watch(Progress(step=step, total_steps=schedule.total_steps, epoch=self.epoch, losses=losses, metrics=row))
        return max(self.history, key=lambda row: row["AP"])

    def _step(self, batch: Batch, step: int) -> dict[str, float]:
        learner, settings = self.learner, self.recipe.optimizer
        set_learning_rate(learner.optimizer, learning_rate(step, settings, self.recipe.schedule))
        dynamic = step >= self.recipe.loss.by_size * self.recipe.schedule.total_steps
        learner.loss.assigner = build_assigner(learner.model.config, nwd=self.recipe.loss.nwd, dynamic=dynamic)
        on_device = batch.to(self.device)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            raw = self.network(on_device.images_nchw)
        loss: Loss = learner.loss(raw, on_device.targets)
        terms = {name: getattr(loss, name) for name in ("total", "objects", "background", "boxes", "mask")}
        values = dict(zip(terms, torch.stack([term.detach() for term in terms.values()]).tolist(), strict=True))
        learner.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        processes.sum_gradients(learner.model)
        norm = float(torch.nn.utils.clip_grad_norm_(learner.model.parameters(), settings.clip_norm))
        if not (math.isfinite(values["total"]) and math.isfinite(norm)):
            raise self._not_finite(batch, step, values | {"gradient_norm": norm})
        learner.optimizer.step()
        self._check_finite(learner.model.state_dict(), step)
        update_average(learner.average, learner.model, step=step, decay=settings.ema_decay)
        return {f"loss_{name}": value for name, value in values.items()} | {
            "positives": float(loss.positives),
            "gradient_norm": norm,
        }

    def _not_finite(self, batch: Batch, step: int, losses: dict[str, float]) -> InputError:
        """Save the names of the batch's images, and return the error that names the file."""
        path = self.folder / BAD_BATCH_FILE
        images = [list(sources) for part in processes.gather(batch.sources) for sources in part]
        content = {"step": step, "losses": {name: str(value) for name, value in losses.items()}, "images": images}
        processes.run_on_first(lambda: write_json(path, content))
        term, value = next(item for item in losses.items() if not math.isfinite(item[1]))
        return InputError(
            f"the loss is not finite at step {step} ({term} is {value}): check the labels of the images in {path}, or "
            f"lower optimizer.learning_rate; the run is saved up to epoch {self.epoch}"
        )

    def _check_finite(self, tensors: Mapping[str, Tensor], step: int) -> None:
        name = first_not_finite(tensors)
        if name is not None:
            raise InputError(
                f"the weights are not finite after step {step} ({name}): lower optimizer.learning_rate; "
                f"the run is saved up to epoch {self.epoch}"
            )

    def _finish_epoch(self, step: int, losses: dict[str, float]) -> dict[str, Any]:
        """Validate the averaged weights, then save everything."""
        self._check_finite(learner_tensors(self.learner), step - 1)
        self.epoch += 1
        recipe = self.recipe
        accuracy = self._validate().as_dict()
        rate = learning_rate(step - 1, recipe.optimizer, recipe.schedule)
        per_class = {f"AP {name}": values["AP"] for name, values in accuracy.pop("per_class").items()}
        row = {"epoch": self.epoch, "step": step, "learning_rate": rate, **losses, **accuracy, **per_class}
        self.history.append(row)
        processes.run_on_first(lambda: self._write(row))
        return row

    def _validate(self) -> Accuracy:
        """Measure AP on val; every process detects in its share of the images."""
        protocol = PROTOCOLS[self.recipe.data.protocol]
        runtime = TorchRuntime(self.learner.average, input_px=self.recipe.data.input_px, checkpoint_sha256="")
        images = processes.shard(self.val.images)
        slicing: Slicing = "tiles" if self.recipe.data.tile_px > 0 else None
        found = detect_for_scoring(Detector(runtime), self.val, images, protocol=protocol, slicing=slicing)
        return measure_accuracy(self.val, processes.gather_shards(found), protocol=protocol)

    def _write(self, row: dict[str, Any]) -> None:
        """Write checkpoints, metrics and curves; the state last, because it commits the epoch."""
        recipe, learner = self.recipe, self.learner
        training = {"recipe": recipe.as_dict(), "epoch": self.epoch, "val": row}
        save_detector(self.folder / LAST_FILE, learner.average, input_px=recipe.data.input_px, training=training)
        if ap_of(row) == max(map(ap_of, self.history)):
            save_detector(self.folder / BEST_FILE, learner.average, input_px=recipe.data.input_px, training=training)
        write_metrics(self.folder / "metrics.csv", self.history)
        write_curves(self.folder / "curves.png", self.history)
        save_state(
            self.folder / STATE_FILE,
            learner,
            epoch=self.epoch,
            recipe=recipe.as_dict(),
            history=self.history,
            data=self.data,
        )


def _resumes(folder: Path, resume: bool) -> bool:
    """Whether to resume the run in `folder`."""
    state, launch = folder / STATE_FILE, folder / LAUNCH_FILE
    if processes.was_restarted() and launch.exists() and launch.read_text(encoding="utf-8") == processes.launch_id():
        return state.exists()
    check_resume(state, resume)
    return resume


def _resume_notes(state: StateMetadata, recipe: Recipe, data: dict[str, str], *, allow_changed_data: bool) -> list[str]:
    """What differs from the run that wrote `state`. Raises `InputError` for changed data that is not allowed."""
    notes = []
    epochs = state.recipe["schedule"]["epochs"]
    if recipe.schedule.epochs != epochs:
        notes.append(
            f"{recipe.schedule.epochs} epochs instead of {epochs}: the learning rate follows the longer schedule"
        )
    changed = [split for split, digest in data.items() if digest != (state.data or data).get(split)]
    if changed:
        text = f"the images or labels of {' and '.join(changed)} changed since epoch {state.epoch}"
        if not allow_changed_data:
            raise InputError(
                f"{text}: restore the data set, start a new run in another --out folder, or add --allow-changed-data "
                "(AP of earlier epochs is then of other data)"
            )
        notes.append(text)
    return notes


def _name_launch(folder: Path) -> None:
    """Under torchrun, write a file by which a restarted process recognizes its run."""
    if processes.world_size() > 1:
        write_text(folder / LAUNCH_FILE, processes.launch_id())


def _check_splits_agree(train: Dataset | None, val: Dataset) -> None:
    """Raise `InputError` if two splits of a data set differ in classes; `train` is None if val is another data set."""
    if train is not None and train.class_names != val.class_names:
        differing = sorted(set(train.class_names) ^ set(val.class_names)) or ["their order"]
        raise InputError(
            f"{val.path}: class names differ between train and val ({', '.join(differing)}): "
            f"train has {', '.join(train.class_names)}; val has {', '.join(val.class_names)}"
        )


def _new_learner(recipe: Recipe, device: torch.device) -> Learner:
    torch.manual_seed(recipe.schedule.seed)
    model = initial_model(recipe).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # the overloads know no format
    average = copy.deepcopy(model).eval().requires_grad_(False)
    processes.synchronize_batch_norm(model)
    loss = build_loss(model.config, balance=recipe.loss.balance, nwd=recipe.loss.nwd).to(device)
    optimizer = build_optimizer(model, recipe.optimizer)
    model.train()
    if recipe.model.weights != "random":
        freeze_statistics(model.backbone)
    return Learner(model=model, average=average, optimizer=optimizer, loss=loss)

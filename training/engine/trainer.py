"""The training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edge.dataset import Dataset, read_dataset
from edge.detector import Detector
from edge.errors import InputError
from edge.evaluation import evaluate
from edge.files import writable_folder
from training.checkpoint import save_detector
from training.data.batch import Batch
from training.data.crops import TrainingCrops, batches
from training.engine.curves import write_curves, write_metrics
from training.engine.initial import initial_model
from training.engine.optimizer import build_optimizer, learning_rate, set_learning_rate, update_average
from training.engine.recipe import Recipe
from training.engine.state import Learner, restore_state, save_state
from training.loss import Loss, build_loss
from training.runtime import TorchRuntime

STATE_FILE = "state.safetensors"
BEST_FILE = "best.safetensors"
LAST_FILE = "last.safetensors"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a running training tells whoever watches.

    step: optimizer steps done, of total_steps. epoch: epochs done. losses: of this step. metrics: the row of the
    epoch that just ended, else None.
    """

    step: int
    total_steps: int
    epoch: int
    losses: dict[str, float]
    metrics: dict[str, Any] | None = None


class Trainer:
    """Trains one recipe into one folder.

    The folder holds `state.safetensors` (to resume), `best.safetensors` and `last.safetensors` (the weight average
    with the best AP on val, and the newest), `metrics.csv` and `curves.png`. Raises `InputError` when the folder
    holds another run, or holds one at all and `resume` is False.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, resume: bool = False) -> None:
        self.recipe = recipe
        state = folder / STATE_FILE
        if state.exists() and not resume:
            raise InputError(f"{folder} holds a training run: add --resume to go on with it, or choose another --out")
        if resume and not state.exists():
            raise InputError(f"nothing to resume: {state} does not exist")
        # Everything that can be wrong with the data is said before the folder is touched.
        schedule = recipe.schedule
        self.crops = TrainingCrops(recipe.data, seed=schedule.seed, length=schedule.total_steps * schedule.batch)
        self.val: Dataset = read_dataset(Path(recipe.data.val), split="val")
        self.notes = (*self.crops.notes, *self.val.notes)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.learner = _new_learner(recipe, self.device)
        self.folder = writable_folder(folder)
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        if resume:
            self.epoch, self.history = restore_state(state, self.learner, recipe=recipe.as_dict())

    def run(self, watch: Callable[[Progress], None] = lambda progress: None) -> dict[str, Any]:
        """Train to the end of the schedule; gives the metrics of the best epoch."""
        schedule = self.recipe.schedule
        step = self.epoch * schedule.steps_per_epoch
        stream = batches(self.crops, batch=schedule.batch, first_step=step, workers=self.recipe.data.workers)
        sums: dict[str, float] = {}
        for batch in stream:
            losses = self._step(batch.to(self.device), step)
            step += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / schedule.steps_per_epoch
            if step % schedule.steps_per_epoch:
                watch(Progress(step=step, total_steps=schedule.total_steps, epoch=self.epoch, losses=losses))
                continue
            row = self._finish_epoch(step, sums)
            sums = {}
            watch(Progress(step=step, total_steps=schedule.total_steps, epoch=self.epoch, losses=losses, metrics=row))
        return max(self.history, key=lambda row: row["AP"])

    def _step(self, batch: Batch, step: int) -> dict[str, float]:
        learner, settings = self.learner, self.recipe.optimizer
        set_learning_rate(learner.optimizer, learning_rate(step, settings, self.recipe.schedule))
        images = batch.images_nchw.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            raw = learner.model(images)
        loss: Loss = learner.loss(raw, batch.targets)
        if not math.isfinite(loss.total.item()):
            raise InputError(
                f"the loss became {loss.total.item()} at step {step}: lower optimizer.learning_rate and --resume "
                f"from the last epoch, or look for broken labels"
            )
        learner.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(learner.model.parameters(), settings.clip_norm)
        learner.optimizer.step()
        update_average(learner.average, learner.model, step=step, decay=settings.ema_decay)
        terms = {name: getattr(loss, name).item() for name in ("total", "objects", "background", "boxes", "mask")}
        return {f"loss_{name}": value for name, value in terms.items()} | {
            "positives": float(loss.positives),
            "gradient_norm": float(norm),
        }

    def _finish_epoch(self, step: int, losses: dict[str, float]) -> dict[str, Any]:
        """Validate the average, write checkpoints, metrics and curves, and the state last: it is the commit."""
        self.epoch += 1
        recipe, learner = self.recipe, self.learner
        runtime = TorchRuntime(learner.average, input_px=recipe.data.input_px, checkpoint_sha256="")
        accuracy = evaluate(Detector(runtime), self.val).as_dict()
        rate = learning_rate(step - 1, recipe.optimizer, recipe.schedule)
        per_class = {f"AP {name}": values["AP"] for name, values in accuracy.pop("per_class").items()}
        row = {"epoch": self.epoch, "step": step, "learning_rate": rate, **losses, **accuracy, **per_class}
        self.history.append(row)
        training = {"recipe": recipe.as_dict(), "epoch": self.epoch, "val": row}
        save_detector(self.folder / LAST_FILE, learner.average, input_px=recipe.data.input_px, training=training)
        if row["AP"] == max(entry["AP"] for entry in self.history):
            save_detector(self.folder / BEST_FILE, learner.average, input_px=recipe.data.input_px, training=training)
        write_metrics(self.folder / "metrics.csv", self.history)
        write_curves(self.folder / "curves.png", self.history)
        save_state(self.folder / STATE_FILE, learner, epoch=self.epoch, recipe=recipe.as_dict(), history=self.history)
        return row


def _new_learner(recipe: Recipe, device: torch.device) -> Learner:
    torch.manual_seed(recipe.schedule.seed)
    model = initial_model(recipe).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(model).eval().requires_grad_(False)
    loss = build_loss(model.config, dcloss=recipe.loss.dcloss, nwd=recipe.loss.nwd).to(device)
    optimizer = build_optimizer(model, recipe.optimizer)
    return Learner(model=model.train(), average=average, optimizer=optimizer, loss=loss)

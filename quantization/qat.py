"""Quantization-aware training (QAT): fine-tunes the calibrated network while every value is rounded to the INT8 grid.

Gradients ignore the rounding (straight-through estimator, Bengio et al., arXiv:1308.3432). The graph is captured at the
size of the training crops; the parameters and ranges it learns are then copied to the graph of the deployed size.
BatchNorm is folded first, so the trained network differs from the deployed one by nothing but rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files.writing import writable_folder
from tinydet.quantization.distillation import distillation_loss
from tinydet.quantization.export_graph import FlatOutputs, capture, fold_batch_norm
from tinydet.quantization.pt2e import FakeQuantize, prepare_qat_pt2e
from tinydet.quantization.ptq import Calibration, QuantizedNetwork
from tinydet.quantization.qat_recipe import QatRecipe
from tinydet.quantization.quantized_file import load_quantized, save_quantized
from tinydet.quantization.quantizer import EdgeQuantizer
from tinydet.quantization.torch_logging import quiet_torch
from tinydet.training.checkpoint import LoadedDetector, load_tensors, save_tensors
from tinydet.training.data.batch import Batch
from tinydet.training.data.crops import TrainingCrops, batches
from tinydet.training.engine.optimizer import learning_rate, optimizer_tensors, restore_optimizer, set_learning_rate
from tinydet.training.engine.state import (
    STATE_SCHEMA,
    Row,
    ap_of,
    check_same_recipe,
    first_not_finite,
    load_module,
    split_parts,
)
from tinydet.training.loss import build_loss
from tinydet.training.model import RawOutputs

STATE_FILE = "qat-state.safetensors"
BEST_FILE = "qat-best.safetensors"

Score = Callable[[QuantizedNetwork], float]
"""AP, 0 to 1, of a quantized network through its runtime."""


@dataclass(frozen=True, kw_only=True)
class QatProgress:
    """step of total_steps, with its losses; row: results of the epoch that just ended, if one did."""

    step: int
    total_steps: int
    losses: dict[str, float]
    row: dict[str, Any] | None = None


class Finetuning:
    """One QAT run into one folder, starting from the calibrated network `start`.

    Epoch 0 is `start` itself, so the best epoch is never worse than calibration alone. The folder holds the state to
    resume from and the best network so far. Raises `InputError` when the folder holds a run and `resume` is False,
    when it holds another run, or when the recipe's classes are not the network's.
    """

    def __init__(
        self,
        loaded: LoadedDetector,
        calibration: Calibration,
        start: QuantizedNetwork,
        recipe: QatRecipe,
        folder: Path,
        *,
        score: Score,
        resume: bool = False,
    ) -> None:
        check_can_start(recipe, loaded, folder, resume=resume)
        self.loaded, self.calibration, self.start, self.recipe, self.score = loaded, calibration, start, recipe, score
        self.folder = writable_folder(folder)
        schedule = recipe.schedule
        self.crops = TrainingCrops(recipe.data, seed=schedule.seed, length=schedule.total_steps * schedule.batch)
        torch.manual_seed(schedule.seed)
        self.teacher = FlatOutputs(fold_batch_norm(loaded.model)).eval().requires_grad_(False)
        self.graph = self._fake_quantized_graph()
        self.loss = build_loss(loaded.model.config, balance=recipe.loss.balance, nwd=recipe.loss.nwd).train()
        self.optimizer = _optimizer(self.graph, recipe)
        self.epoch = 0
        self.history: list[Row] = []
        self.best = start
        if resume:
            self._restore()

    def run(self, watch: Callable[[QatProgress], None] = lambda progress: None) -> QuantizedNetwork:
        """Fine-tune to the end of the schedule; returns the best network, which may be `start`."""
        schedule = self.recipe.schedule
        step = self.epoch * schedule.steps_per_epoch
        total = schedule.total_steps
        if not self.history:
            self._save_epoch({"epoch": 0, "step": 0, "AP": self.score(self.start)}, self.start)
        sums: dict[str, float] = {}
        for batch in batches(self.crops, batch=schedule.batch, first_step=step, workers=self.recipe.data.workers):
            losses = self._step(batch, step)
            step += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / schedule.steps_per_epoch
            row = None
            if step % schedule.steps_per_epoch == 0:
                self._check_finite(self._tensors(), step - 1)
                self.epoch += 1
                network = self._quantized_network()
                row = {"epoch": self.epoch, "step": step, **sums, "AP": self.score(network)}
                self._save_epoch(row, network)
                sums = {}
            watch(QatProgress(step=step, total_steps=total, losses=losses, row=row))
        return self.best

    def _step(self, batch: Batch, step: int) -> dict[str, float]:
        settings, schedule = self.recipe.optimizer, self.recipe.schedule
        if step >= self.recipe.qat.follow * schedule.total_steps:
            for quantizer in self._activation_quantizers().values():
                quantizer.disable_observer()
        set_learning_rate(self.optimizer, learning_rate(step, settings, schedule))
        images = batch.images_nchw.float().div_(255.0)
        outputs = self.graph(images)
        loss = self.loss(RawOutputs(list(outputs[::2]), list(outputs[1::2]), []), batch.targets)
        distilled = loss.total.new_zeros(())
        if self.recipe.qat.distillation:
            with torch.no_grad():
                taught = self.teacher(images)
            distilled = self.recipe.qat.distillation * distillation_loss(outputs, taught)
        total: Tensor = loss.total + distilled
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = float(torch.nn.utils.clip_grad_norm_(self.graph.parameters(), settings.clip_norm))
        terms = {"loss": total, "loss_labels": loss.total, "loss_distillation": distilled}
        values = {name: float(term.detach()) for name, term in terms.items()}
        for name, value in (values | {"gradient norm": norm}).items():
            if not math.isfinite(value):
                raise InputError(
                    f"the {name} became {value} at step {step}: lower optimizer.learning_rate, now "
                    f"{settings.learning_rate}; the run in {self.folder} is complete up to epoch {self.epoch}"
                )
        self.optimizer.step()
        self._check_finite(dict(self.graph.named_parameters()), step)
        return values

    def _check_finite(self, tensors: Mapping[str, Tensor], step: int) -> None:
        name = first_not_finite(tensors)
        if name is not None:
            raise InputError(
                f"{name} is not finite after step {step}: lower optimizer.learning_rate; "
                f"the run in {self.folder} is complete up to epoch {self.epoch}"
            )

    def _fake_quantized_graph(self) -> GraphModule:
        """The fake-quantized network at the size of the crops, with the parameters and ranges of `start`."""
        side = self.recipe.data.crop_px
        quantizer = EdgeQuantizer(float_blocks=self.calibration.float_blocks, finetuning=True)
        with quiet_torch():
            graph: GraphModule = prepare_qat_pt2e(capture(self.loaded.model, (side, side)), quantizer)
        corrected = self.start.graph.state_dict()
        with torch.no_grad():
            for name, parameter in graph.named_parameters():
                if name.endswith(".bias"):
                    parameter.copy_(corrected[name])
        ranges = self.calibration.ranges(self.start.calibration["ranges"])
        for name, fake_quantize in self._activation_quantizers(graph).items():
            low, high = ranges[name]
            fake_quantize.activation_post_process.min_val.fill_(low)
            fake_quantize.activation_post_process.max_val.fill_(high)
            scale, zero_point = fake_quantize.calculate_qparams()
            fake_quantize.scale.copy_(scale)
            fake_quantize.zero_point.copy_(zero_point)
        return graph

    def _activation_quantizers(self, graph: nn.Module | None = None) -> dict[str, Any]:
        """Fake quantizers of the activations with a learned range, by their observers' names in `calibration`."""
        known = self.calibration.observers()
        modules = (graph or self.graph).named_modules()
        return {name: module for name, module in modules if isinstance(module, FakeQuantize) and name in known}

    def _quantized_network(self) -> QuantizedNetwork:
        """The network as learned so far, at the deployed size."""
        ranges = {}
        for name, quantizer in self._activation_quantizers().items():
            observer = quantizer.activation_post_process
            ranges[name] = (float(observer.min_val), float(observer.max_val))
        graph = self.calibration.convert(ranges, dict(self.graph.named_parameters()))
        return replace(self.start, graph=graph, method="qat")

    def _save_epoch(self, row: dict[str, Any], network: QuantizedNetwork) -> None:
        """Write the best network, then the state, which completes the epoch."""
        if not self.history or ap_of(row) > max(map(ap_of, self.history)):
            self.best = network
            save_quantized(self.folder / BEST_FILE, self.loaded, network, history={"qat": [*self.history, row]})
        self.history.append(row)
        # Clones: quantizers that share a grid are one module under several names, which safetensors refuses.
        tensors = {name: value.clone() for name, value in self._tensors().items()}
        metadata = {"state": STATE_SCHEMA, "epoch": self.epoch, "recipe": self._run_identity(), "history": self.history}
        save_tensors(self.folder / STATE_FILE, tensors, metadata)

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors of the state, named `part/name`."""
        parts = {
            "graph": self.graph.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer),
            "loss": self.loss.state_dict(),
        }
        return {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}

    def _run_identity(self) -> dict[str, Any]:
        """The recipe, and everything else that has to be the same to resume a run."""
        start = {
            "checkpoint": self.loaded.sha256,
            "calibration": self.start.calibration["sha256"],
            "ranges": self.start.calibration["ranges"],
            "float_blocks": list(self.start.float_blocks),
        }
        return {**self.recipe.as_dict(), "start": start}

    def _restore(self) -> None:
        path = self.folder / STATE_FILE
        tensors, metadata = load_tensors(path)
        state = check_same_recipe(metadata, self._run_identity(), source=str(path))
        parts = split_parts(tensors, ("graph", "optimizer", "loss"), source=str(path))
        before = [(parameter, parameter.detach().clone()) for parameter in self.graph.parameters()]
        load_module(self.graph, parts["graph"], source=str(path))
        load_module(self.loss, parts["loss"], source=str(path))
        unused = [parameter for parameter, value in before if torch.equal(parameter, value)]
        restore_optimizer(self.optimizer, parts["optimizer"], unused=unused, source=str(path))
        self.epoch, self.history = state.epoch, state.history
        self.best = load_quantized(self.folder / BEST_FILE).network


def check_can_start(recipe: QatRecipe, loaded: LoadedDetector, folder: Path, *, resume: bool) -> None:
    """Raise `InputError` for a recipe, data or folder that would stop a run after minutes of calibration."""
    if recipe.data.classes != loaded.model.config.class_names:
        raise InputError(
            f"data.classes are {', '.join(recipe.data.classes)}, the checkpoint's are "
            f"{', '.join(loaded.model.config.class_names)}: QAT needs the same classes in the same order"
        )
    state = folder / STATE_FILE
    if state.exists() and not resume:
        raise InputError(f"{folder} holds a QAT run: add --resume to continue it, or choose another --out folder")
    if resume and not state.exists():
        raise InputError(f"nothing to resume: {state} does not exist")
    for data in recipe.data.train:
        read_dataset(data, split="train")


def _optimizer(graph: GraphModule, recipe: QatRecipe) -> torch.optim.Optimizer:
    """AdamW or SGD, without weight decay: smaller weights would only change the scales."""
    settings = recipe.optimizer
    parameters = [{"params": list(graph.parameters()), "factor": 1.0}]
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)

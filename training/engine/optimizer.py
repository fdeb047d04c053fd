"""Optimizer, learning-rate schedule and weight average."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tinydet.training.model import TinyDetector
from tinydet.training.recipes.recipe import OptimizerSettings, ScheduleSettings

FINAL_SHARE = 0.02  # of the peak learning rate, reached at the last step
EMA_WARMUP_STEPS = 200.0


def build_optimizer(model: TinyDetector, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """AdamW or SGD. Biases and BatchNorm are not decayed; each group keeps its share of the rate in `factor`."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = _rate_factor(name, parameter, model.config.channels, settings)
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    parameters = [{"params": group, "factor": key[0], "weight_decay": key[1]} for key, group in groups.items()]
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(parameters, lr=settings.learning_rate)


def _rate_factor(name: str, parameter: Tensor, channels: int, settings: OptimizerSettings) -> float:
    """Share of the learning rate: `backbone_factor` in the backbone; 1 for neck and heads, which start from nothing,
    or with AdamW `channels` / inputs for a convolution that reads more channels than the pyramid has.

    AdamW moves every weight by up to the rate, and a sum over n inputs moves by up to n times that: at one rate the
    layers that read C4 and C5 would jump where the others step. Rate ~ 1 / inputs is µP's rule for Adam
    (arXiv:2203.03466).
    """
    if name.startswith("backbone."):
        return settings.backbone_factor
    if settings.name == "adamw" and parameter.ndim == 4:
        return min(1.0, channels / parameter.shape[1])
    return 1.0


def learning_rate(step: int, optimizer: OptimizerSettings, schedule: ScheduleSettings) -> float:
    """Rate of `step` (from 0): linear warm-up, then a cosine down to `FINAL_SHARE` of the peak."""
    if step < schedule.warmup_steps:
        return optimizer.learning_rate * (step + 1) / schedule.warmup_steps
    progress = (step - schedule.warmup_steps) / max(1, schedule.total_steps - schedule.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(1.0, progress))) / 2
    return optimizer.learning_rate * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set `rate` on every group, scaled by the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


@torch.no_grad()
def update_average(average: TinyDetector, model: TinyDetector, *, step: int, decay: float) -> None:
    """Exponential moving average of all weights and BatchNorm statistics, faster during the first steps."""
    share = 1 - decay * (1 - math.exp(-(step + 1) / EMA_WARMUP_STEPS))
    current = model.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], share)
        else:
            tensor.copy_(current[name])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as named tensors `<parameter index>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": tensor for index, entry in state.items() for name, tensor in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})

"""Optimizer, learning-rate schedule and moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import printable
from tinydet.training.model import TinyDetector
from tinydet.training.recipes.recipe import OptimizerSettings, ScheduleSettings

FINAL_SHARE = 0.02  # learning rate at the last step, as a share of the peak
EMA_WARMUP_STEPS = 200.0


def build_optimizer(model: TinyDetector, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Build AdamW or SGD, without weight decay for biases and BatchNorm; `factor` is a group's share of the rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = _rate_factor(name, parameter, model.config.channels, settings)
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return optimizer_of(groups, settings)


def optimizer_of(
    groups: Mapping[tuple[float, float], list[nn.Parameter]], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """AdamW or SGD over groups of parameters, by their share of the learning rate and their weight decay."""
    parameters = [{"params": group, "factor": key[0], "weight_decay": key[1]} for key, group in groups.items()]
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(parameters, lr=settings.learning_rate)


def _rate_factor(name: str, parameter: Tensor, channels: int, settings: OptimizerSettings) -> float:
    """A parameter's share of the learning rate: `backbone_factor` in the backbone, 1 in neck and heads. With AdamW, a
    convolution there with more input channels than the pyramid's `channels` gets `channels` / inputs.

    AdamW changes every weight by up to the rate, and so a sum over n inputs by up to n times the rate: at one rate, the
    layers that read C4 and C5 would change far more than the others. Rate ~ 1 / inputs is µP's rule for Adam
    (arXiv:2203.03466).
    """
    if name.startswith("backbone."):
        return settings.backbone_factor
    if settings.name == "adamw" and parameter.ndim == 4:
        return min(1.0, channels / parameter.shape[1])
    return 1.0


def learning_rate(step: int, optimizer: OptimizerSettings, schedule: ScheduleSettings) -> float:
    """Learning rate of `step` (from 0): linear warm-up, then a cosine down to `FINAL_SHARE` of the peak."""
    if step < schedule.warmup_steps:
        return optimizer.learning_rate * (step + 1) / schedule.warmup_steps
    progress = (step - schedule.warmup_steps) / max(1, schedule.total_steps - schedule.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(1.0, progress))) / 2
    return optimizer.learning_rate * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group to `rate` times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, step: int, decay: float) -> None:
    """Update the exponential moving average of weights and BatchNorm statistics; the first steps count more."""
    share = 1 - decay * (1 - math.exp(-(step + 1) / EMA_WARMUP_STEPS))
    current = model.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], share)
        else:
            tensor.copy_(current[name])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of the optimizer as tensors named `<parameter index>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": tensor for index, entry in state.items() for name, tensor in entry.items()}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], *, unused: Iterable[nn.Parameter], source: str
) -> None:
    """Restore the state that `optimizer_tensors` returned after a step or more.

    Parameters in `unused`, which never changed, may have no state: without CEM nothing reads the backbone's end.

    Raises:
        InputError: it is of another optimizer or network: a tensor is missing, unknown, or of another shape or dtype;
            the message begins with `source`.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = ("step", "exp_avg", "exp_avg_sq") if isinstance(optimizer, torch.optim.AdamW) else ("momentum_buffer",)
    may_lack = set(map(id, unused))
    state: dict[int, dict[str, Tensor]] = {}
    for index, parameter in enumerate(parameters):
        if id(parameter) in may_lack and not any(f"{index}.{name}" in tensors for name in names):
            continue
        state[index] = {}
        for name in names:
            got = tensors.get(f"{index}.{name}")
            expected = torch.zeros(()) if name == "step" else parameter
            state[index][name] = check_tensor(expected, got, f"{source}: optimizer/{index}.{name}")
            if name in ("step", "exp_avg_sq") and float(state[index][name].min()) < 0:
                raise InputError(
                    f"{source}: optimizer/{index}.{name}: expected 0 or more: start a new run in another --out folder"
                )
    unknown = tensors.keys() - {f"{index}.{name}" for index, entry in state.items() for name in entry}
    if unknown:
        check_tensor(None, tensors[min(unknown)], f"{source}: optimizer/{printable(min(unknown))}")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def check_tensor(expected: Tensor | None, got: Tensor | None, name: str) -> Tensor:
    """Check shape and dtype of a restored tensor; `name` begins the message of the `InputError`."""
    kinds = [
        "none" if t is None else f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (expected, got)
    ]
    if got is None or kinds[0] != kinds[1]:
        raise InputError(f"{name}: expected {kinds[0]}, got {kinds[1]}: start a new run in another --out folder")
    return got

"""Learning rate of each layer."""

from __future__ import annotations

import pytest
import torch

from tinydet.training.engine.optimizer import build_optimizer, set_learning_rate
from tinydet.training.model import build_detector, model_config
from tinydet.training.recipes.recipe import OptimizerSettings


def rates(settings: OptimizerSettings) -> dict[str, float]:
    """Rate of every parameter when the schedule is at 1."""
    model = build_detector(model_config("n", ("small-vehicle",)))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, settings)
    set_learning_rate(optimizer, 1.0)
    found = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert found.keys() == set(names.values())
    return found


def test_adamw_layers_that_read_more_channels_than_the_pyramid_has_learn_slower_in_proportion() -> None:
    found = rates(OptimizerSettings(backbone_factor=0.25))
    assert {rate for name, rate in found.items() if name.startswith("backbone.")} == {0.25}
    slower = {name: rate for name, rate in found.items() if not name.startswith("backbone.") and rate != 1}
    assert slower == {
        "neck.laterals.2.weight": pytest.approx(48 / 112),
        "neck.cem.compress_p5.weight": pytest.approx(48 / 320),
        "neck.cem.compress_p6.weight": pytest.approx(48 / 320),
    }


def test_sgd_has_one_rate_for_all_new_layers() -> None:
    found = rates(OptimizerSettings(name="sgd", backbone_factor=0.25))
    assert set(found.values()) == {0.25, 1.0}


def test_biases_and_batch_norm_do_not_decay() -> None:
    model = build_detector(model_config("n", ("small-vehicle",)))
    optimizer = build_optimizer(model, OptimizerSettings(weight_decay=0.5))
    for group in optimizer.param_groups:
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] == 0.5}
    assert isinstance(optimizer, torch.optim.AdamW)

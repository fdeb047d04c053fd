"""Settings of a run: frozen BatchNorm statistics, and the switch between assigners."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.unit.training.small_run import write_data, write_recipe
from tinydet.training.engine.trainer import Progress, Trainer
from tinydet.training.loss.assigner import DynamicAssigner, SizeAssigner
from tinydet.training.recipes.recipe import read_recipe


def trainer(folder: Path, *settings: str) -> Trainer:
    recipe = write_recipe(folder, write_data(folder / "data"))
    return Trainer(read_recipe(recipe, overrides=settings), folder / "run")


def statistics(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Means and variances of all BatchNorms of the backbone."""
    found = {name: value.clone() for name, value in model.state_dict().items() if "running_" in name}
    return {name: value for name, value in found.items() if name.startswith("backbone.")}


@pytest.mark.parametrize(("weights", "kept"), [("imagenet", True), ("random", False)])
def test_pretrained_statistics_are_kept(tmp_path: Path, weights: str, kept: bool) -> None:
    run = trainer(tmp_path, f"model.weights={weights}", "schedule.epochs=1")
    before = statistics(run.learner.model)
    run.run()
    after = statistics(run.learner.model)
    assert len(before) > 50
    assert {torch.equal(before[name], after[name]) for name in before} == {kept}


def test_objects_are_assigned_by_size_for_the_share_of_the_run_in_the_recipe(tmp_path: Path) -> None:
    run = trainer(tmp_path, "loss.by_size=0.3", "schedule.epochs=2")  # of 8 steps
    used: list[type] = []

    def watch(progress: Progress) -> None:
        used.append(type(run.learner.loss.assigner))

    run.run(watch)
    assert used == [SizeAssigner] * 3 + [DynamicAssigner] * 5

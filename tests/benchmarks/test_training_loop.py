"""Training must not wait for its data: the whole loop against forward and backward alone, in turns."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from statistics import median

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from tinydet.training.data.crops import batches
from tinydet.training.data.scenes import write_dataset
from tinydet.training.engine.memory import keep_freed_memory
from tinydet.training.engine.trainer import Trainer
from tinydet.training.recipes.recipe import DataSettings, ModelSettings, Recipe, ScheduleSettings

ROUNDS, STEPS, WARM_UP = 5, 6, 4
BATCH, CROP_PX = 8, 320
MIN_SHARE = 0.9


def test_the_loop_runs_at_the_speed_of_the_network(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Images a second: decode, augment, collate, step and average against forward and backward on one ready batch."""
    keep_freed_memory()
    data = tmp_path / "data"
    for split in ("train", "val"):
        write_dataset(data, images=8, seed=1, size_hw=(640, 640), split=split)
    recipe = Recipe(
        model=ModelSettings(size="n", weights="random"),
        data=DataSettings(train=(str(data),), val=str(data), classes=("small-vehicle",), crop_px=CROP_PX),
        schedule=ScheduleSettings(epochs=1, steps_per_epoch=1000, batch=BATCH),
    )
    trainer = Trainer(recipe, tmp_path / "run")
    stream = batches(trainer.crops, batch=BATCH, first_step=0, workers=recipe.data.workers)
    ready = next(stream).to(trainer.device)
    learner, steps = trainer.learner, itertools.count()

    def forward_and_backward() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=trainer.device.type == "cuda"):
            raw = trainer.network(ready.images_nchw)
        learner.optimizer.zero_grad(set_to_none=True)
        learner.loss(raw, ready.targets).total.backward()

    def loop() -> None:
        trainer._step(next(stream), next(steps))

    def images_per_s(function: object) -> float:
        assert callable(function)
        start = time.perf_counter()
        for _ in range(STEPS):
            function()
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        return STEPS * BATCH / (time.perf_counter() - start)

    rates: dict[str, list[float]] = {"loop": [], "network": []}

    def in_turns() -> None:
        for _ in range(WARM_UP):
            loop()
            forward_and_backward()
        for _ in range(ROUNDS):
            rates["loop"].append(images_per_s(loop))
            rates["network"].append(images_per_s(forward_and_backward))

    benchmark.pedantic(in_turns, rounds=1, iterations=1)  # type: ignore[no-untyped-call]  # the plugin is not typed
    share = median(loop / network for loop, network in zip(rates["loop"], rates["network"], strict=True))
    benchmark.extra_info |= {name: median(values) for name, values in rates.items()} | {"share": share}
    assert share >= MIN_SHARE, f"the loop reaches {share:.2f} of the network's images a second"

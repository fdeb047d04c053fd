"""Two processes take the same step as one, and torchrun restarts a killed one."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from tests.unit.training.small_run import write_data, write_recipe
from tinydet.edge.commands.cli import main
from tinydet.training import distributed as processes
from tinydet.training.data.batch import Target
from tinydet.training.loss import DetectionLoss, build_loss
from tinydet.training.model import TinyDetector, build_detector, model_config

CLASSES = ("car", "person")
IMAGES = 4


def images_and_targets() -> tuple[torch.Tensor, list[Target]]:
    """Images with very unequal numbers of objects: the second half has none, but an ignored region."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(IMAGES, 3, 64, 64, generator=generator, dtype=torch.float64)
    targets = []
    for count in (5, 1, 0, 0):
        corners = torch.rand(count, 2, generator=generator) * 40
        sides = torch.rand(count, 2, generator=generator) * 20 + 3
        targets.append(
            Target(
                boxes_xyxy_px=torch.cat([corners, corners + sides], dim=1),
                class_ids=torch.arange(count) % 2,
                labelled=torch.ones(2, dtype=torch.bool),
                ignored_xyxy_px=torch.tensor([[0.0, 0.0, 30.0, 30.0]])[: int(count == 0)],
            )
        )
    return images, targets


def new_learner() -> tuple[TinyDetector, DetectionLoss]:
    torch.manual_seed(0)
    # In double precision: in single, rounding alone moves the first layer's gradients by 5e-5.
    model = build_detector(model_config("n", CLASSES)).train().double()
    processes.synchronize_batch_norm(model)
    return model, build_loss(model.config).train()


def step(model: TinyDetector, loss: DetectionLoss, share: slice) -> dict[str, torch.Tensor]:
    """One forward and backward pass over a share of the images; everything that has to agree."""
    images, targets = images_and_targets()
    terms = loss(model(images[share]), targets[share])
    terms.total.backward()
    processes.sum_gradients(model)
    parts = {
        "gradient": {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
        "loss": {name: torch.as_tensor(value).detach() for name, value in terms._asdict().items()},
        "model": model.state_dict(),
        "balance": loss.state_dict(),
    }
    return {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        model, loss = new_learner()
        share = slice(rank * IMAGES // 2, (rank + 1) * IMAGES // 2)
        for _ in range(2):  # the second step runs on statistics that the first one left
            model.zero_grad()
            result = step(model, loss, share)
        torch.save(result, f"{folder}/{rank}.pt")
        assert processes.gather(rank) == [0, 1]
        assert list(processes.shard(range(5))) == [rank, rank + 2, rank + 4][: 3 - rank]
        assert processes.gather_shards([10 * item for item in processes.shard(range(5))]) == [0, 10, 20, 30, 40]
        assert processes.run_on_first(lambda: rank) == 0
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_take_the_step_of_one(tmp_path: Path) -> None:
    spawn(one_of_two, args=(str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    model, loss = new_learner()
    for _ in range(2):
        model.zero_grad()
        alone = step(model, loss, slice(None))
    assert alone["loss/positives"] > 5
    assert sum(name.startswith("gradient/") for name in alone) > 200
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first.keys() == second.keys() == alone.keys()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between the processes"
        torch.testing.assert_close(first[name], value, rtol=1e-6, atol=1e-9, msg=partial("{}: {}".format, name))


def torchrun(recipe: Path, out: Path, *more: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=3"]
    meeting = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
    return [*launcher, *meeting, "-m", "tinydet", "train", str(recipe), "--out", str(out), *more]


def workers_of(launcher: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the two training processes."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.slow
def test_after_a_killed_worker_is_restarted_training_gives_the_same_weights(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    short = ("--set", "schedule.epochs=3")
    done = subprocess.run(torchrun(recipe, whole, *short), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    with (tmp_path / "log").open("wb") as log:
        launcher = subprocess.Popen(torchrun(recipe, broken, *short), env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 240
            while not (broken / "state.safetensors").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(workers_of(launcher)[-1], signal.SIGKILL)
            assert launcher.wait(timeout=300) == 0, (tmp_path / "log").read_text()
        finally:
            launcher.kill()
    assert re.search(r"exitcode\s*: -9|Signal 9|SIGKILL", (tmp_path / "log").read_text())
    rows = [list(csv.DictReader((folder / "metrics.csv").open())) for folder in (whole, broken)]
    assert [row["epoch"] for row in rows[1]] == ["1", "2", "3"]
    assert rows[0] == rows[1]
    # And as if one process had done it all, but for rounding: each image of a batch falls to one of the two.
    assert main(["train", str(recipe), "--out", str(tmp_path / "alone"), *short]) == 0
    (first, *_) = csv.DictReader((tmp_path / "alone" / "metrics.csv").open())
    for name in ("loss_total", "loss_boxes", "positives"):
        assert float(first[name]) == pytest.approx(float(rows[0][0][name]), rel=0.02), name
    assert (whole / "last.safetensors").read_bytes() == (broken / "last.safetensors").read_bytes()


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    command = torchrun(
        write_recipe(tmp_path, write_data(tmp_path / "data")), tmp_path / "out", "--set", "schedule.batch=3"
    )
    command = [part.replace("--max-restarts=3", "--max-restarts=0") for part in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "schedule.batch is 3, which 2 processes cannot share equally" in done.stderr
    assert not (tmp_path / "out").exists()

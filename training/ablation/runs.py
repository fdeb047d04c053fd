"""Run an ablation: every training, export and timing is a `tinydet` command in its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydet.edge.datasets.classes import keep_classes
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import PROTOCOLS
from tinydet.edge.evaluation.evaluate import Slicing, check_objects, evaluate
from tinydet.edge.files.json_file import read_json
from tinydet.edge.files.numbers import in_range
from tinydet.edge.files.printable import printable
from tinydet.edge.files.text_file import read_table
from tinydet.edge.files.writing import write_json
from tinydet.training.ablation.variants import VARIANTS, Variant
from tinydet.training.checkpoint import load_detector, load_tensors
from tinydet.training.data.class_map import read_split
from tinydet.training.engine.state import check_same_recipe
from tinydet.training.engine.trainer import BEST_FILE, LAST_FILE, STATE_FILE
from tinydet.training.model.cost import count_macs, count_parameters
from tinydet.training.recipes.recipe import Recipe, read_recipe
from tinydet.training.torch_runtime import TorchRuntime

REPORTED_PROTOCOL = "ai-tod"
POLL_SECONDS = 1.0
PROFILE_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a variant at the recipe's input size, for one image. latency_ms: median of an INT8 inference."""

    parameters: int
    macs: int
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run of an ablation: `variant` with `seed`, in `folder`; its output goes to `log`."""

    variant: Variant
    seed: int
    folder: Path

    @property
    def log(self) -> Path:
        """Log file, beside the run's folder."""
        return self.folder.with_suffix(".log")


class Ablation:
    """Runs of a recipe in a folder, one for each variant and seed. Finished runs are not repeated.

    `data` replaces the recipe's data sets, `overrides` are `table.field=value` for every run. Accuracy is that of the
    last epoch on val, or, for another `split` of val's data set, there of the epoch that is best on val.
    Raises `InputError` if the recipe does not suit a variant, the split does not exist, or the folder holds runs of
    another recipe.
    """

    def __init__(
        self,
        recipe_path: Path,
        folder: Path,
        *,
        seeds: int,
        variants: Sequence[Variant] = VARIANTS,
        split: str = "val",
        data: str | None = None,
        overrides: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.variants = tuple(variants)
        self.split = split
        self.recipe: Recipe = read_recipe(recipe_path, data=data, overrides=overrides)
        self._recipe_path = recipe_path
        self._data = data
        self._overrides = tuple(overrides)
        if self.recipe.data.protocol != REPORTED_PROTOCOL:
            raise InputError(f"an ablation reports AP by the bands of {REPORTED_PROTOCOL!r}: set data.protocol to it")
        first = self.recipe.schedule.seed
        # Seed by seed, so that an interrupted ablation has all variants of its first seeds.
        self.runs = [
            Run(variant=variant, seed=seed, folder=folder / f"{variant.slug}-seed{seed}")
            for seed in range(first, first + seeds)
            for variant in self.variants
        ]
        self._scored: Dataset | None = None
        if split != "val":
            self._scored = keep_classes(read_split(self.recipe.data, split), self.recipe.data.classes)
            check_objects(self._scored)
        for run in self.runs:
            recipe = read_recipe(recipe_path, data=data, overrides=self._settings(run))
            state = run.folder / STATE_FILE
            if state.exists():
                check_same_recipe(load_tensors(state)[1], recipe.as_dict(), source=str(state))

    def train(self, *, jobs: int, watch: Callable[[int], None] = lambda epochs: None) -> None:
        """Train the unfinished runs, `jobs` at a time, each with an equal share of the cores.

        `watch` is called with the finished epochs of all runs. Raises `InputError` when a run fails.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        waiting = [run for run in self.runs if len(_rows(run.folder)) < self.recipe.schedule.epochs]
        running: dict[Run, subprocess.Popen[bytes]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    run = waiting.pop(0)
                    running[run] = self._start(run, jobs)
                time.sleep(POLL_SECONDS)
                watch(self.finished_epochs())
                for run, process in list(running.items()):
                    if process.poll() is not None:
                        del running[run]
                        _check(process.returncode, f"{run.variant.slug} with seed {run.seed}", run.log)
        finally:
            for process in running.values():
                process.send_signal(signal.SIGINT)
            for process in running.values():
                process.wait()

    def finished_epochs(self) -> int:
        """Number of finished epochs of all runs."""
        return sum(len(_rows(run.folder)) for run in self.runs)

    def score(self, watch: Callable[[int], None] = lambda runs: None) -> None:
        """Measure the best epoch of each run on `split`, unless it is val; `watch` gets the number of measured runs."""
        if self._scored is None:
            return
        data = self.recipe.data
        slicing: Slicing = "tiles" if data.tile_px > 0 else None
        for done, run in enumerate(self.runs, start=1):
            best, result = run.folder / BEST_FILE, self._result(run)
            if not result.exists() or result.stat().st_mtime < best.stat().st_mtime:
                detector = Detector(TorchRuntime.open(best))
                accuracy = evaluate(detector, self._scored, protocol=PROTOCOLS[data.protocol], slicing=slicing)
                write_json(result, accuracy.as_dict())
            watch(done)

    def accuracy(self, variant: Variant, metric: str) -> list[float | None]:
        """`metric` (0 to 1) for each seed; None if the data set has no object of that size."""
        values: list[float | None] = []
        for run in self.runs:
            if run.variant is variant:
                source = run.folder / "metrics.csv" if self._scored is None else self._result(run)
                row = _rows(run.folder)[-1] if self._scored is None else read_json(source)
                if not isinstance(row, dict) or metric not in row:
                    raise InputError(f"{printable(source)} has no {metric}: remove it, and run the same command again")
                value = row[metric]
                values.append(None if value in ("", None) else in_range(value, 0, 1, f"{printable(source)}: {metric}"))
        return values

    def _result(self, run: Run) -> Path:
        return run.folder / f"{self.split}.json"

    def costs(self, watch: Callable[[str], None] = lambda step: None) -> dict[str, Cost]:
        """Cost by slug: exports each variant as INT8 and times all of them, interleaved, in ONNX Runtime."""
        artifacts: dict[str, Path] = {}
        calibration = self.recipe.data.train[0]
        for run in self.runs[: len(self.variants)]:
            watch(f"exporting {run.variant.name}")
            out = self.folder / "artifacts" / run.variant.slug
            source = run.folder / LAST_FILE
            command = ["export", str(source), "--precision", "int8", "--calibration", calibration, "--out", str(out)]
            artifact = out / f"{self.recipe.model.size}-{self.recipe.data.input_px}px-int8.onnx"
            artifacts[run.variant.slug] = artifact
            if not artifact.exists() or artifact.stat().st_mtime < source.stat().st_mtime:
                _run_command(command, self.folder / f"export-{run.variant.slug}.log")
        watch("timing all variants")
        table = self.folder / "profile.json"
        paths = [str(path) for path in artifacts.values()]
        _run_command(
            ["profile", *paths, "--seconds", str(PROFILE_SECONDS), "--json", str(table)], self.folder / "profile.log"
        )
        rows = {row["artifact"]: row for row in read_json(table)["artifacts"]}
        return {
            run.variant.slug: _cost(run, self.recipe.data.input_px, rows[str(artifacts[run.variant.slug])])
            for run in self.runs[: len(self.variants)]
        }

    def _start(self, run: Run, jobs: int) -> subprocess.Popen[bytes]:
        command = ["train", str(self._recipe_path), "--out", str(run.folder)]
        if self._data is not None:
            command += ["--data", self._data]
        for setting in self._settings(run):
            command += ["--set", setting]
        if (run.folder / STATE_FILE).exists():
            command.append("--resume")
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // jobs))}
        with run.log.open("wb") as log:
            return subprocess.Popen(_tinydet(command), stdout=log, stderr=log, env=environment)

    def _settings(self, run: Run) -> tuple[str, ...]:
        return (*self._overrides, *run.variant.settings, f"schedule.seed={run.seed}")


def _cost(run: Run, input_px: int, row: dict[str, Any]) -> Cost:
    model = load_detector(run.folder / LAST_FILE).model
    return Cost(
        parameters=count_parameters(model),
        macs=count_macs(model, input_px=input_px),
        latency_ms=row["stages"]["infer"]["p50_ms"],
    )


def _rows(folder: Path) -> list[dict[str, str]]:
    path = folder / "metrics.csv"
    return read_table(path, columns=("epoch", "AP")) if path.exists() else []


def _run_command(arguments: list[str], log: Path) -> None:
    with log.open("wb") as file:
        process = subprocess.run(_tinydet(arguments), stdout=file, stderr=file, check=False)
    _check(process.returncode, f"tinydet {arguments[0]}", log)


def _check(exit_code: int, command: str, log: Path) -> None:
    if exit_code:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
        raise InputError(f"{command} ended with exit code {exit_code}: {lines[-1].removeprefix('error: ')} (see {log})")


def _tinydet(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "tinydet", *arguments]

"""Measures every runtime on every emulated CPU: accuracy, detections and executed instructions."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from tinydet.boards.arm.emulator import CPUS, EmulatedBoard
from tinydet.edge.commands import terminal
from tinydet.edge.commands.cli import dispatch
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files.folders import temporary_folder

JUDGED_OBJECTS = 50
"""Least number of objects of a class that is judged, as in the accuracy gate: with 8, one box moves AP by points."""
PROFILE_MINUTES = "0.02"  # without the warm-up
COMMANDS, FLOAT, INT8 = PARTS = ("evaluate, detect and profile", "instructions in float", "instructions in INT8")
"""Jobs for each runtime on each CPU, longest first."""
Key = tuple[str, str, str]
"""CPU, package of the runtime, and part."""
_ON_THE_BOARD = (  # one process for all three commands, because starting takes seconds there
    "import json, sys; from tinydet.edge.commands.cli import main; "
    "sys.exit(next(filter(None, map(main, json.loads(sys.argv[1]))), 0))"
)


@dataclass(frozen=True, kw_only=True)
class RuntimePackages:
    """How a runtime gets onto the board."""

    file_format: str
    """Format of its artifacts."""
    folders: tuple[str, ...] = ("extras",)
    """Folders of `setup.sh` to import from."""


#: By package, slowest under emulation first. tflite-runtime is for 32-bit boards; here it runs on 64 bit.
RUNTIME_PACKAGES = {
    "openvino": RuntimePackages(file_format="openvino"),
    "tflite-runtime": RuntimePackages(file_format="tflite", folders=("tflite-runtime", "base")),
    "ai-edge-litert": RuntimePackages(file_format="tflite"),
    "onnxruntime": RuntimePackages(file_format="onnx"),
}
#: Format -> precision of its float artifact. OpenVINO's has 16-bit weights and computes in 32 bits.
FLOATS = {"onnx": "fp32", "openvino": "fp16", "tflite": "fp32"}


@dataclass(frozen=True, kw_only=True)
class RuntimeResult:
    """Measurements of one runtime on one CPU."""

    cpu: str
    package: str
    """Key of `RUNTIME_PACKAGES`."""
    runtime: str
    """Name and version, from `tinydet evaluate` on the board."""
    ap: float
    """AP of the INT8 artifact on the emulated CPU, 0 to 1, over the classes with `JUDGED_OBJECTS` or more."""
    ap_here: float
    """The same on this machine."""
    ap_all: float
    """AP over all classes."""
    ap_all_here: float
    detected: int
    """Number of objects that `tinydet detect` found in the first image."""
    float_instructions: int
    """Instructions of one inference."""
    int8_instructions: int

    @property
    def instruction_ratio(self) -> float:
        """Float instructions over INT8 instructions."""
        return self.float_instructions / self.int8_instructions


def measure(folder: Path, artifacts: Mapping[tuple[str, str], Path], data: Path) -> list[RuntimeResult]:
    """Measure every runtime on every CPU, as many programs at a time as cores; `artifacts`: by format and precision.

    Raises:
        InputError: a program failed on a board, or another runtime ran there than expected.
    """
    here = {file_format: _evaluated_here(artifacts[file_format, "int8"], data) for file_format in FLOATS}
    dataset = read_dataset(data, split="val")
    image = dataset.images[0].path.resolve()
    judged = judged_classes(dataset)
    boards = {cpu: EmulatedBoard(folder, cpu) for cpu in CPUS}

    def job(cpu: str, package: str, part: str) -> Callable[[], Any]:
        packages, board = RUNTIME_PACKAGES[package], boards[cpu]
        precision = FLOATS[packages.file_format] if part == FLOAT else "int8"
        artifact = artifacts[packages.file_format, precision].resolve()
        if part == COMMANDS:
            return partial(_commands, board, packages.folders, artifact, data.resolve(), image)
        return partial(board.instructions, packages.folders, artifact)

    keys = [(cpu, package, part) for part, package, cpu in product(PARTS, RUNTIME_PACKAGES, CPUS)]
    done = _run({key: job(*key) for key in keys}, boards.values())
    return [
        _result(
            cpu,
            package,
            [done[cpu, package, part] for part in PARTS],
            here[RUNTIME_PACKAGES[package].file_format],
            judged,
        )
        for cpu, package in product(CPUS, RUNTIME_PACKAGES)
    ]


def _run(jobs: Mapping[Key, Callable[[], Any]], boards: Iterable[EmulatedBoard]) -> dict[Key, Any]:
    """Run all jobs, in that order. The first failure kills everything that runs on `boards`.

    Each job has a core of its own: OpenVINO pins its thread to the first core it may use, else the same for two jobs.
    """
    started_s = time.monotonic()
    cores: SimpleQueue[int] = SimpleQueue()
    for core in os.sched_getaffinity(0):
        cores.put(core)

    def take_a_core() -> None:
        os.sched_setaffinity(0, {cores.get()})  # for this thread and its child processes

    with ThreadPoolExecutor(cores.qsize(), initializer=take_a_core) as pool:
        futures = {pool.submit(_timed, job): key for key, job in jobs.items()}
        found = {}
        try:
            for future in terminal.track_some(as_completed(futures), "on emulated boards", len(jobs)):
                key = futures[future]
                took_s, found[key] = future.result()
                minutes, seconds = divmod(int(time.monotonic() - started_s), 60)
                terminal.say(f"{minutes:2}:{seconds:02} {', '.join(key)}: {took_s:.0f} s")
        except BaseException:  # Ctrl-C too: waiting jobs must not start, running ones take minutes
            pool.shutdown(wait=False, cancel_futures=True)
            for board in boards:
                board.stop()
            raise
    return found


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    started_s = time.monotonic()
    result = run()
    return time.monotonic() - started_s, result


def judged_classes(dataset: Dataset) -> list[str]:
    """Classes with `JUDGED_OBJECTS` or more; all classes if none has."""
    counts = Counter(dataset.class_names[class_id] for image in dataset.images for class_id in image.class_ids)
    return [name for name, count in counts.items() if count >= JUDGED_OBJECTS] or list(counts)


def _result(
    cpu: str, package: str, done: Sequence[Any], here: Mapping[str, Any], judged: Sequence[str]
) -> RuntimeResult:
    """`done`: results of `PARTS`; `here`: result of `tinydet evaluate` on this machine."""
    reports, float_instructions, int8_instructions = done
    runtime = reports["evaluate"]["runtime"]
    if not runtime.startswith(f"{package} "):
        raise InputError(f"{runtime} ran instead of {package}")
    return RuntimeResult(
        cpu=cpu,
        package=package,
        runtime=runtime,
        ap=_mean_ap(reports["evaluate"], judged),
        ap_here=_mean_ap(here, judged),
        ap_all=reports["evaluate"]["AP"],
        ap_all_here=here["AP"],
        detected=len(reports["detect"]["detections"]),
        float_instructions=float_instructions,
        int8_instructions=int8_instructions,
    )


def _mean_ap(evaluated: Mapping[str, Any], classes: Sequence[str]) -> float:
    return float(np.mean([evaluated["per_class"][name]["AP"] for name in classes]))


def _evaluated_here(artifact: Path, data: Path) -> dict[str, Any]:
    report = artifact.with_suffix(".here.json")
    dispatch(["evaluate", str(artifact), str(data), "--json", str(report)])
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return content


def _commands(board: EmulatedBoard, packages: Sequence[str], artifact: Path, data: Path, image: Path) -> dict[str, Any]:
    """JSON results of evaluate, detect (in `image`) and profile."""
    with temporary_folder() as folder:
        commands, reports = [], {}
        for name, kind, *options in (
            ("evaluate", "json", data),
            ("detect", "jsonl", image),
            ("profile", "json", "--sustained", PROFILE_MINUTES),
        ):
            reports[name] = folder / f"{name}.{kind}"
            commands.append([name, artifact, *options, f"--{kind}", reports[name], "--threads", "1"])
        board.python(packages, "-c", _ON_THE_BOARD, json.dumps(commands, default=str))
        return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in reports.items()}

"""Parity: checks that artifacts of one network detect the same, measured through the runtimes that run them.

Differences of raw outputs are counted in LSB, steps of the output's 8-bit grid: rounding differs between runtimes and
grows with depth, so a few LSB mean nothing, and a wrong scale shows at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydet.converters.target import Grid, load_target, target_name
from tinydet.edge.boxes import iou
from tinydet.edge.datasets.dataset import Dataset, ImageRecord, read_record
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.edge.evaluation.evaluate import Progress, evaluate

MEAN_LSB_LIMIT = 3.0
AGREEMENT_LIMIT = 0.99
AGREEMENT_IOU = 0.9

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ArtifactFacts:
    """Properties of one artifact.

    grid: its activation grids (scale, int8 zero point), None where it is float.
    on_shared_grid: whether it is meant to carry the same grids as the other targets.
    float_operators: operators of an INT8 artifact that its runtime computes in float.
    float_blocks: blocks left in float on purpose; float operators are then not a violation.
    """

    name: str
    precision: str
    runtime: str
    grid: Grid | None
    on_shared_grid: bool
    float_operators: int | None
    float_blocks: tuple[str, ...]
    accuracy: Accuracy | None


@dataclass(frozen=True, kw_only=True)
class ArtifactPair:
    """Differences of two artifacts.

    lsb_mean, lsb_p99, lsb_max: of the raw outputs' differences, in steps of the coarser of the two grids, each for the
    output in which it is largest; None where both are float. agreement: share of the detections that agree.
    """

    first: str
    second: str
    lsb_mean: float | None
    lsb_p99: float | None
    lsb_max: float | None
    agreement: float


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """Properties and differences of all artifacts of a folder, on `images` images."""

    artifacts: tuple[ArtifactFacts, ...]
    pairs: tuple[ArtifactPair, ...]
    images: int

    def violations(self) -> list[str]:
        """Differences beyond the limits between INT8 artifacts on the shared grid, a line each."""
        shared = [facts for facts in self.artifacts if facts.on_shared_grid]
        grids = {facts.name: facts.grid for facts in shared if facts.grid is not None}
        found = [
            f"{facts.name}: {facts.float_operators} operators run in float"
            for facts in shared
            if facts.name in grids and facts.float_operators and not facts.float_blocks
        ]
        for pair in self.pairs:
            if pair.first not in grids or pair.second not in grids:
                continue
            names = f"{pair.first} and {pair.second}"
            differing = len(grids[pair.first] ^ grids[pair.second])
            if differing:
                found.append(f"{names}: {differing} (scale, zero point) pairs are in only one of them")
            if pair.lsb_mean is not None and pair.lsb_mean > MEAN_LSB_LIMIT:
                found.append(
                    f"{names}: raw outputs differ by {pair.lsb_mean:.1f} LSB on average (limit {MEAN_LSB_LIMIT})"
                )
            if pair.agreement < AGREEMENT_LIMIT:
                found.append(
                    f"{names}: {pair.agreement:.1%} of the detections agree at IoU {AGREEMENT_IOU} "
                    f"(limit {AGREEMENT_LIMIT:.0%})"
                )
        return found

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return {
            "images": self.images,
            "artifacts": [
                {
                    "artifact": facts.name,
                    "precision": facts.precision,
                    "runtime": facts.runtime,
                    "on_shared_grid": facts.on_shared_grid,
                    "grid": None if facts.grid is None else sorted(facts.grid),
                    "float_operators": facts.float_operators,
                    "float_blocks": list(facts.float_blocks),
                    "accuracy": None if facts.accuracy is None else facts.accuracy.as_dict(),
                }
                for facts in self.artifacts
            ],
            "pairs": [vars(pair) for pair in self.pairs],
            "violations": self.violations(),
        }


def find_artifacts(folder: Path) -> list[Path]:
    """List the artifacts in `folder` by name. Raises `InputError` when there are fewer than two."""
    if not folder.is_dir():
        raise InputError(
            f"folder {folder} does not exist: make artifacts with `tinydet export --format all --out {folder}`"
        )
    paths = sorted(path for path in folder.iterdir() if path.is_file() and target_name(path) is not None)
    if len(paths) < 2:
        raise InputError(
            f"{folder} has {len(paths)} artifacts, expected two or more to compare: "
            f"make them with `tinydet export n --format all --out {folder}`"
        )
    return paths


def measure_parity(
    paths: Sequence[Path], dataset: Dataset, progress: Progress | None = None, *, threads: int | None = None
) -> ParityReport:
    """Run every artifact on the images of `dataset`; AP is measured if they have labels.

    Raises `InputError` when an artifact cannot be run, or two differ in checkpoint, classes or input size.
    """
    detectors = {path.name: Detector(path, threads=threads) for path in paths}
    _check_same_network(detectors)
    pairs = _compare_outputs(detectors, dataset.images if progress is None else progress(dataset.images))
    facts = []
    for path, detector in zip(paths, detectors.values(), strict=True):
        name = target_name(path)
        assert name is not None, path
        target = load_target(name)
        metadata = detector.runtime.metadata
        is_int8 = metadata.precision == "int8"
        facts.append(
            ArtifactFacts(
                name=path.name,
                precision=metadata.precision,
                runtime=detector.runtime.name,
                grid=target.grid(path) if is_int8 else None,
                on_shared_grid=target.on_shared_grid,
                float_operators=target.float_operators(path) if is_int8 else None,
                float_blocks=metadata.float_blocks,
                accuracy=evaluate(detector, dataset) if dataset.object_count else None,
            )
        )
    for detector in detectors.values():
        detector.runtime.close()
    return ParityReport(artifacts=tuple(facts), pairs=tuple(pairs), images=len(dataset.images))


def _check_same_network(detectors: Mapping[str, Detector]) -> None:
    first, *others = detectors
    for name in others:
        for field in ("checkpoint_sha256", "class_names", "input_hw"):
            expected = getattr(detectors[first].runtime.metadata, field)
            found = getattr(detectors[name].runtime.metadata, field)
            if found != expected:
                raise InputError(
                    f"{name} and {first} are of different networks: their {field} are {found} and {expected}; "
                    "keep artifacts of one checkpoint and size in a folder of their own"
                )


def _compare_outputs(detectors: Mapping[str, Detector], records: Iterable[ImageRecord]) -> list[ArtifactPair]:
    """Compare every two artifacts. Outputs of all images are kept: only they show the step of an output's grid."""
    raw: dict[str, list[list[Array]]] = {name: [] for name in detectors}
    found: dict[str, list[Detections]] = {name: [] for name in detectors}
    for record in records:
        image = read_record(record)
        for name, detector in detectors.items():
            letterboxed = detector.preprocess(image)
            of_image = detector.runtime.infer(letterboxed.image[np.newaxis])
            raw[name].append([output.copy() for output in of_image])
            found[name].append(detector.postprocess(of_image, letterboxed))
    outputs = {name: [np.stack(parts) for parts in zip(*images, strict=True)] for name, images in raw.items()}
    steps = {
        name: [_grid_step(output) for output in outputs[name]]
        for name, detector in detectors.items()
        if detector.runtime.metadata.precision == "int8"
    }
    pairs = []
    for first, second in itertools.combinations(detectors, 2):
        known = [steps[name] for name in (first, second) if name in steps]
        lsb = _in_lsb(outputs[first], outputs[second], np.max(known, axis=0)) if known else (None, None, None)
        agreed = agreement(found[first], found[second])
        pairs.append(
            ArtifactPair(first=first, second=second, lsb_mean=lsb[0], lsb_p99=lsb[1], lsb_max=lsb[2], agreement=agreed)
        )
    return pairs


def _grid_step(output: Array) -> float:
    """Step of the 8-bit grid that all values of `output` lie on: the smallest gap between two of them."""
    gaps = np.diff(np.unique(output).astype(np.float64))
    span = float(gaps.sum())
    return float(gaps[gaps > span / 4096].min(initial=np.inf))  # smaller gaps are float rounding


def _in_lsb(first: Sequence[Array], second: Sequence[Array], steps: Array) -> tuple[float, float, float]:
    """Mean, 99th percentile and maximum of the differences in LSB, each of the output where it is largest."""
    lsb = [np.abs(a - b) / step for a, b, step in zip(first, second, steps, strict=True)]
    return (
        max(float(values.mean()) for values in lsb),
        max(float(np.percentile(values, 99)) for values in lsb),
        max(float(values.max()) for values in lsb),
    )


def agreement(first: Sequence[Detections], second: Sequence[Detections]) -> float:
    """Share of all detections that have a partner in the other artifact: the same class, IoU 0.9 or more."""
    total = sum(len(found) for found in (*first, *second))
    matched = sum(_partners(a, b) for a, b in zip(first, second, strict=True))
    return 2 * matched / total if total else 1.0


def _partners(first: Detections, second: Detections) -> int:
    """Number of detections of `first` that have a partner in `second`."""
    overlap = iou(first.boxes_xyxy_px[:, None].astype(np.float64), second.boxes_xyxy_px.astype(np.float64))
    overlap[first.class_ids[:, None] != second.class_ids] = 0
    # At IoU 0.9 a box has one partner at most, unless two of its own class all but coincide, which NMS rules out.
    return int((overlap >= AGREEMENT_IOU).any(1).sum()) if overlap.size else 0

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.models import spot_metadata, write_spot_detector
from tests.unit.boards.board_trees import board
from tests.unit.edge.datasets.coco_files import write_coco
from tinydet.boards.profiling import profiler
from tinydet.boards.profiling.frames import MAX_FRAMES, Frames, dataset_frames, noise_frames
from tinydet.boards.profiling.latency_statistics import Percentiles, percentiles
from tinydet.boards.profiling.profile import Profile
from tinydet.boards.profiling.profile_file import read_profile
from tinydet.boards.profiling.profiler import Profiler
from tinydet.boards.telemetry import Telemetry
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.evaluate import evaluate
from tinydet.edge.files.writing import write_json

BLACK = Frames(images_rgb=(np.zeros((64, 64, 3), np.uint8),) * 2, description="two black images")
ROUNDS = 2


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "ROUNDS", ROUNDS)


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Path]:
    metadata = spot_metadata(class_names=("car",))
    return [write_spot_detector(tmp_path / name, metadata) for name in ("a.onnx", "b.onnx")]


def test_every_artifact_gets_a_row_with_its_costs(artifacts: list[Path], tmp_path: Path) -> None:
    turns: list[str] = []
    tree = board("orin-nano", tmp_path / "board")
    telemetry = Telemetry(tree.root, tree.run)
    dataset = read_dataset(write_coco(tmp_path / "data"))
    frames = dataset_frames(dataset)
    profile = Profiler(
        artifacts, frames=frames, seconds=0.2, threads=1, dataset=dataset, on_step=turns.append, telemetry=telemetry
    ).run()
    names = [str(path) for path in artifacts]
    expected = [f"round {turn} of {ROUNDS}: {name}" for turn in (1, 2) for name in names]
    assert turns == expected + [f"accuracy: {name}" for name in names]
    _check_costs(profile, artifacts)
    (row, _) = profile.artifacts
    assert row.accuracy == evaluate(Detector(artifacts[0], threads=1), dataset)
    assert profile.power_mode == "15W"
    assert row.sensors.power_w == pytest.approx(6.34)
    assert row.sensors.joules_per_frame == pytest.approx(6.34 / row.frames_per_s)

    write_json(tmp_path / "profile.json", profile.as_dict())
    content = read_profile(tmp_path / "profile.json")
    assert content["artifacts"][0]["accuracy"]["AP"] == 0
    assert content["protocol"]["frames"] == f"2 of 2 images of {dataset.path}"


def _check_costs(profile: Profile, artifacts: list[Path]) -> None:
    row = profile.artifacts[0]
    assert [str(path) for path in artifacts] == [row.artifact for row in profile.artifacts]
    assert (row.model, row.precision, row.input_hw, row.provider) == ("spots", "fp32", (64, 64), "CPUExecutionProvider")
    assert row.size_bytes == artifacts[0].stat().st_size
    assert len(row.turns) == ROUNDS
    assert row.frame_count == sum(len(turn.infer_ms) for turn in row.turns) >= ROUNDS * 2
    assert row.objects_per_frame == 0
    for stage in row.stages.values():
        assert 0 < stage.p50_ms <= stage.p90_ms <= stage.p95_ms <= stage.p99_ms
    assert row.stages["total"].p50_ms >= max(row.stages[stage].p50_ms for stage in ("pre", "infer", "post"))
    assert row.frames_per_s > 0
    assert 0 < row.load_ms < row.first_result_ms
    memory = row.memory_mib
    assert memory.before_load is not None and memory.steady is not None and memory.peak is not None
    assert 1 < memory.before_load < memory.steady <= memory.peak
    turns = sorted((turn for row in profile.artifacts for turn in row.turns), key=lambda turn: turn.start_s)
    assert all(before.end_s < after.start_s for before, after in itertools.pairwise(turns))


def test_sustained_is_one_turn_and_says_how_it_ended(artifacts: list[Path]) -> None:
    profile = Profiler(artifacts[:1], frames=BLACK, seconds=0.2, sustained=True).run()
    (row,) = profile.artifacts
    assert len(row.turns) == profile.protocol["rounds_interleaved"] == 1
    assert row.heat is not None and row.heat.first_frames_per_s > 0 and row.heat.last_frames_per_s > 0
    assert row.accuracy is None
    json.dumps(profile.as_dict(), allow_nan=False)


def test_a_broken_artifact_stops_before_anything_is_timed(artifacts: list[Path]) -> None:
    artifacts[1].write_bytes(artifacts[1].read_bytes()[:100])
    turns: list[str] = []
    with pytest.raises(InputError, match=r"cannot load .*b\.onnx"):
        Profiler(artifacts, frames=BLACK, seconds=0.01, on_step=turns.append).run()
    assert turns == []


def test_the_built_in_frame_is_the_same_everywhere() -> None:
    (first,), (second,) = noise_frames().images_rgb, noise_frames().images_rgb
    assert first.shape == (1080, 1920, 3)
    assert np.array_equal(first, second)
    assert "noise" in noise_frames().description


def test_frames_are_spread_over_a_data_set(tmp_path: Path) -> None:
    images = [{"id": index, "file_name": f"{index:02}.png", "width": 64, "height": 48} for index in range(40)]
    dataset = read_dataset(write_coco(tmp_path, {"images": images}))
    frames = dataset_frames(dataset)
    assert len(frames.images_rgb) == MAX_FRAMES
    assert frames.description.startswith("16 of 40 images of")


def test_percentiles() -> None:
    assert percentiles(np.arange(101.0)) == Percentiles(p50_ms=50, p90_ms=90, p95_ms=95, p99_ms=99)


def test_sensors_that_vanish_in_mid_run_are_not_available_and_stop_nothing(
    artifacts: list[Path], tmp_path: Path
) -> None:
    tree = board("orin-nano", tmp_path / "board")
    rails = tree.root / "sys/bus/i2c"

    def lose_the_monitor(profile: Profile) -> None:
        if rails.exists():
            shutil.rmtree(rails)

    profile = Profiler(
        artifacts[:1],
        frames=BLACK,
        seconds=0.5,
        on_profile=lose_the_monitor,
        telemetry=Telemetry(tree.root, tree.run),
    ).run()
    assert len(profile.artifacts[0].turns) == ROUNDS
    assert profile.timeline[0].power_w == pytest.approx(6.34) and profile.timeline[-1].power_w is None
    assert profile.artifacts[0].sensors.power_w == pytest.approx(6.34)  # a mean of what was known
    assert {"power", "total power"} <= set(profile.not_available)

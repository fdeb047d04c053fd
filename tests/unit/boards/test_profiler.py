from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from boards import profiler
from boards.profiler import Frames, Percentiles, dataset_frames, noise_frames, profile_artifacts
from edge.detector import Detector
from edge.errors import InputError
from edge.formats import read_dataset
from tests.models import spot_metadata, write_spot_detector
from tests.unit.edge.coco_files import write_coco

BLACK = Frames(images_rgb=(np.zeros((64, 64, 3), np.uint8),) * 2, description="two black images")


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Path]:
    metadata = spot_metadata(class_names=("car",))
    return [write_spot_detector(tmp_path / name, metadata) for name in ("a.onnx", "b.onnx")]


def test_every_artifact_gets_a_row_with_its_costs(artifacts: list[Path]) -> None:
    profile = profile_artifacts(artifacts, frames=BLACK, seconds=0.05, threads=1)
    assert [row.artifact for row in profile.artifacts] == [str(path) for path in artifacts]
    row = profile.artifacts[0]
    assert (row.model, row.precision, row.input_hw, row.provider) == ("spots", "fp32", (64, 64), "CPUExecutionProvider")
    assert row.size_bytes == artifacts[0].stat().st_size
    assert row.frame_count >= profiler.ROUNDS * len(BLACK.images_rgb)
    assert row.objects_per_frame == 0
    assert row.accuracy is None
    for percentiles in row.stages.values():
        assert 0 < percentiles.p50_ms <= percentiles.p95_ms
    assert row.stages["total"].p50_ms >= max(row.stages[stage].p50_ms for stage in ("pre", "infer", "post"))
    assert row.frames_per_s > 0


def test_artifacts_take_turns_with_one_session_open(artifacts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []
    open_sessions = 0
    most_open = 0
    detector_init = Detector.__init__

    def counting_init(self: Detector, *args: object, **kwargs: object) -> None:
        nonlocal open_sessions, most_open
        detector_init(self, *args, **kwargs)  # type: ignore[arg-type]  # passed through
        open_sessions += 1
        most_open = max(most_open, open_sessions)
        runtime_close = self.runtime.close

        def counting_close() -> None:
            nonlocal open_sessions
            open_sessions -= 1
            runtime_close()

        monkeypatch.setattr(self.runtime, "close", counting_close)

    monkeypatch.setattr(Detector, "__init__", counting_init)
    profile_artifacts(artifacts, frames=BLACK, seconds=0.01, on_turn=turns.append)
    names = [str(path) for path in artifacts]
    assert turns == [f"round {turn} of 3: {name}" for turn in (1, 2, 3) for name in names]
    assert (most_open, open_sessions) == (1, 0)


def test_labelled_data_brings_accuracy(artifacts: list[Path], tmp_path: Path) -> None:
    dataset = read_dataset(write_coco(tmp_path / "data"))
    profile = profile_artifacts(artifacts[:1], frames=dataset_frames(dataset), seconds=0.01, dataset=dataset)
    content = json.loads(json.dumps(profile.as_dict(), allow_nan=False))
    (row,) = content["artifacts"]
    assert row["accuracy"]["AP"] == 0
    assert set(row["accuracy"]["per_class"]) == {"car", "truck"}
    assert set(row["stages"]) == {"pre", "infer", "post", "total"}
    assert content["protocol"]["frames"] == f"2 of 2 images of {dataset.path}"
    assert content["protocol"]["rounds_interleaved"] == profiler.ROUNDS
    assert content["machine"]["cores"] >= 1


def test_opencv_gets_its_threads_back(artifacts: list[Path]) -> None:
    before = cv2.getNumThreads()
    profile_artifacts(artifacts[:1], frames=BLACK, seconds=0.01, threads=1)
    assert cv2.getNumThreads() == before


def test_a_broken_artifact_stops_before_anything_is_timed(artifacts: list[Path]) -> None:
    artifacts[1].write_bytes(artifacts[1].read_bytes()[:100])
    turns: list[str] = []
    with pytest.raises(InputError, match=r"cannot load .*b\.onnx"):
        profile_artifacts(artifacts, frames=BLACK, seconds=0.01, on_turn=turns.append)
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
    assert len(frames.images_rgb) == profiler.FRAMES_IN_MEMORY
    assert frames.description.startswith("16 of 40 images of")


def test_percentiles() -> None:
    assert profiler._percentiles(np.arange(101.0)) == Percentiles(p50_ms=50, p95_ms=95)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.boards.profiling.made_profiles import artifact, profile
from tinydet.boards.profiling.recommendation import Limits, recommend
from tinydet.edge.commands.cli import main
from tinydet.edge.errors import InputError

THREE = profile(
    artifact("exact", infer_ms=100, ap=0.4, power_w=8),
    artifact("fast", infer_ms=20, ap=0.3, power_w=5),
    artifact("twin", infer_ms=25, ap=0.3, power_w=4),
)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), "exact"),
        (Limits(min_fps=15), "fast"),
        (Limits(max_watt=4.5), "twin"),
        (Limits(min_fps=5, min_ap=0.35), "exact"),
        (Limits(min_fps=45, max_watt=4.5), None),
        (Limits(min_ap=0.5), None),
    ],
)
def test_the_best_ap_within_the_limits(limits: Limits, expected: str | None) -> None:
    assert recommend(THREE, limits).artifact == expected


def test_missed_limits_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(THREE))
    assert main(["recommend", str(path), "--min-fps", "60", "--json", str(tmp_path / "out.json")]) == 1
    shown = capsys.readouterr().err
    assert "rejected fast: 50.0 frames per second, 10.0 below 60" in shown
    assert "none: no artifact is within all limits" in shown
    assert json.loads((tmp_path / "out.json").read_text())["artifact"] is None
    assert main(["recommend", str(path), "--min-fps", "15"]) == 0
    assert "fast: best AP of 2, 0.300, at 50.0 frames per second" in capsys.readouterr().err


def test_sustained_counts_when_hot() -> None:
    hot = artifact("hot", infer_ms=20)
    hot["heat"] = {"first_frames_per_s": 50.0, "last_frames_per_s": 12.0}
    assert recommend(profile(hot), Limits(min_fps=15)).artifact is None


def test_limits_of_figures_that_were_not_measured() -> None:
    with pytest.raises(InputError, match="no AP in this profile"):
        recommend(profile(artifact(ap=None)), Limits(min_ap=0.1))
    with pytest.raises(InputError, match="no power in this profile"):
        recommend(profile(artifact()), Limits(max_watt=5))
    with pytest.raises(InputError, match="--min-fps: expected more than 0"):
        Limits(min_fps=0)
    assert recommend(profile(artifact(ap=None), artifact("b", infer_ms=5, ap=None)), Limits()).artifact == "b"

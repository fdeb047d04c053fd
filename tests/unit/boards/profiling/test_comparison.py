from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.boards.profiling.made_profiles import artifact, profile
from tinydet.boards.profiling.comparison import compare
from tinydet.edge.commands.cli import main


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def test_the_same_artifact_measured_twice_is_within_noise() -> None:
    for seed in range(4):
        (change,) = compare(profile(artifact(seed=2 * seed)), profile(artifact(seed=2 * seed + 1))).artifacts
        assert change.infer.low < change.infer.ratio < change.infer.high
        assert change.failures(slower_percent=5, ap_points=0) == []


def test_a_slower_artifact_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "a.json", profile(artifact()))
    after = write(tmp_path / "b.json", profile(artifact(infer_ms=12.5, seed=1)))
    assert main(["compare", before, after]) == 0
    assert main(["compare", before, after, "--fail-slower", "50"]) == 0
    assert main(["compare", before, after, "--fail-slower", "10", "--json", str(tmp_path / "c.json")]) == 1
    assert "failed: a.onnx:" in capsys.readouterr().err
    (row,) = json.loads((tmp_path / "c.json").read_text())["artifacts"]
    assert row["infer"]["verdict"] == row["total"]["verdict"] == "slower"
    assert row["infer"]["ratio"] == pytest.approx(1.25, abs=0.06)
    assert main(["compare", after, before, "--fail-slower", "0"]) == 0


def test_a_drop_of_ap_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (write(tmp_path / f"{ap}.json", profile(artifact(ap=ap))) for ap in (0.3, 0.29))
    assert main(["compare", before, after, "--fail-ap", "1.5"]) == 0
    assert main(["compare", before, after, "--fail-ap", "0.5"]) == 1
    assert "APvt -1.00 points, allowed -0.5" in capsys.readouterr().err
    blind = write(tmp_path / "blind.json", profile(artifact(ap=None)))
    assert main(["compare", before, blind, "--fail-ap", "1"]) == 2


def test_other_differences_are_noted() -> None:
    before, after = profile(artifact(), artifact("b.onnx")), profile(artifact("x/b.onnx"), artifact("c.onnx"))
    after["machine"]["name"] = "another"
    after["protocol"]["threads"] = None
    after["artifacts"][0] |= {"device": "a GPU", "provider": "CUDA"}
    comparison = compare(before, after)
    assert [change.artifact for change in comparison.artifacts] == ["b.onnx"]
    assert comparison.notes[:2] == ("only in one profile: a.onnx", "only in one profile: c.onnx")
    assert "machine name differs: Board <1> -> another" in comparison.notes
    assert "threads differs: 1 -> None" in comparison.notes
    old = before["artifacts"][1]
    assert f"b.onnx: device differs: {old['device']} -> a GPU" in comparison.notes
    assert f"b.onnx: provider differs: {old['provider']} -> CUDA" in comparison.notes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("garbage", "broken JSON at line 1, column 1"),
        ("[]", "schema_version is None, expected 1"),
        ('{"schema_version": 99}', "schema_version is 99, expected 1"),
        ('{"schema_version": 1}', "$.machine is missing"),
    ],
)
def test_a_file_that_is_not_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 2
    assert says in capsys.readouterr().err


def test_a_value_of_another_kind_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = profile(artifact())
    content["artifacts"][0]["turns"][0]["infer_ms"][3] = "fast"
    path = write(tmp_path / "a.json", content)
    assert main(["recommend", path]) == 2
    assert "$.artifacts[0].turns[0].infer_ms[3] is 'fast', expected number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"cores": 2', '"cores": 1e999', "a float can hold"),
        ('"cores": 2', '"cores": NaN', "NaN"),
        ('"name": "Board <1>"', '"name": "Board \\u001b[31m"', "printable"),
        ('"frames_per_s": ', '"frames_per_s": -', "frames_per_s"),
        ('"complete": true', '"complete": ' + "[" * 3000 + "]" * 3000, "levels"),
        ('"cores": 2', '"cores": ' + "9" * 5000, "64 bits"),
    ],
)
def test_values_that_no_measurement_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    text = json.dumps(profile(artifact()))
    assert old in text
    (tmp_path / "a.json").write_text(text.replace(old, new, 1))
    for command in (["compare", str(tmp_path / "a.json")], ["recommend"]):
        assert main([*command, str(tmp_path / "a.json")]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert says in line


def test_artifacts_of_one_name_are_told_apart() -> None:
    one = profile(artifact("first/n.onnx"), artifact("second/n.onnx"))
    assert [change.artifact for change in compare(one, one).artifacts] == ["first/n.onnx", "second/n.onnx"]

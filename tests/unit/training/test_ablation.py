"""The ablation trains every variant alike, continues after an interruption, and reports the metrics of the runs."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.unit.training.small_run import write_data, write_recipe
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.evaluate import evaluate
from tinydet.edge.files.images import read_image
from tinydet.training.ablation.report import READING, gains, mean_and_spread, write_report
from tinydet.training.ablation.runs import Ablation, Cost
from tinydet.training.ablation.variants import (
    COMPARISONS,
    FULL,
    LADDER,
    NO_TOP_HEADS,
    PLAIN_FPN,
    VARIANTS,
    variants_called,
)
from tinydet.training.checkpoint import save_detector
from tinydet.training.engine.initial_weights import initial_model
from tinydet.training.engine.trainer import BEST_FILE
from tinydet.training.recipes.recipe import read_recipe
from tinydet.training.torch_runtime import TorchRuntime

SHORT = ("schedule.epochs=1", "schedule.steps_per_epoch=1")


def test_each_step_of_the_ladder_changes_the_part_in_its_name(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    built = {variant.slug: read_recipe(recipe, overrides=variant.settings) for variant in VARIANTS}
    parts = {
        slug: (["cem"] if values.model.cem else [])
        + ([] if values.model.fbsm == "off" else [values.model.fbsm])
        + ([] if values.loss.balance == "none" else [f"dcloss per {values.loss.balance}"])
        + (["nwd"] if values.loss.nwd else [])
        for slug, values in built.items()
    }
    assert parts == {
        "fpn": ["nwd"],
        "bare": ["nwd"],
        "cem": ["cem", "nwd"],
        "cem-fbsm": ["cem", "gate", "nwd"],
        "full": ["cem", "gate", "dcloss per object", "nwd"],
        "cem-teacher": ["cem", "teacher", "nwd"],
        "per-band": ["cem", "gate", "dcloss per band", "nwd"],
        "no-cem": ["gate", "dcloss per object", "nwd"],
        "dynamic": ["cem", "gate", "dcloss per object", "nwd"],
        "dynamic-no-nwd": ["cem", "gate", "dcloss per object"],
    }
    assert {slug for slug, values in built.items() if values.model.neck == "fpn"} == {"fpn"}
    assert {slug for slug, values in built.items() if values.loss.by_size < 1} == {"dynamic", "dynamic-no-nwd"}
    assert (LADDER[0], LADDER[-1]) == (PLAIN_FPN, FULL)


def test_mean_spread_and_gains_worked_by_hand() -> None:
    assert mean_and_spread([1.0, 2.0, 6.0]) == pytest.approx((3.0, (7.0 / 3) ** 0.5))
    mean, spread = mean_and_spread([4.0])
    assert mean == 4.0 and spread != spread
    assert gains([0.5, None, 0.7], [0.4, 0.1, 0.9]) == pytest.approx([0.1, -0.2])


def test_the_report_has_the_metrics_of_the_runs_and_keeps_text_written_by_hand(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    ablation = Ablation(recipe, tmp_path / "runs", seeds=2, overrides=SHORT)
    assert len(ablation.runs) == 2 * len(VARIANTS)
    for number, run in enumerate(ablation.runs):
        run.folder.mkdir(parents=True)
        row = dict.fromkeys(("AP", "AP50", "AP75", "APt", "APs"), f"{0.2 + number / 100}") | {"APvt": ""}
        with (run.folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *row])
            writer.writeheader()
            writer.writerow({"epoch": 1, **row})
    assert ablation.finished_epochs() == len(ablation.runs)
    costs = {v.slug: Cost(parameters=3_000_000, macs=10**9, latency_ms=10.0 + i) for i, v in enumerate(VARIANTS)}
    page = tmp_path / "docs" / "ablation.md"
    write_report(page, ablation, costs, command="tinydet ablate recipe.toml --seeds 2")
    page.write_text(page.read_text() + f"\n{READING}\n\nWritten by hand.\n")
    write_report(page, ablation, costs, command="tinydet ablate recipe.toml --seeds 2")
    text = page.read_text()
    # Seeds 0 and 1 of the plain FPN are runs 0 and 10: AP 20 and 30; of the full network runs 4 and 14: 24 and 34.
    assert "| plain FPN | 25.0 ± 5.0 | 25.0 ± 5.0 | 25.0 ± 5.0 | - | 25.0 ± 5.0 |" in text
    assert "| 3.00 | 1.00 | 14.0 | 1.40 |" in text
    assert f"| {COMPARISONS[0][0]} | {PLAIN_FPN.name} | {FULL.name} | +4.0 ± 0.0 |" in text
    assert text.endswith(f"\n{READING}\n\nWritten by hand.\n")
    assert text.count(READING) == 1
    assert min(read_image(page.with_suffix(".png")).shape[:2]) > 300


def test_some_variants_are_reported_on_a_split_that_did_not_choose_the_epoch(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    recipe = write_recipe(tmp_path, data)
    with pytest.raises(InputError, match="has no split test"):
        Ablation(recipe, tmp_path / "runs", seeds=1, split="test")
    shutil.copytree(data / "val", data / "test")
    labels = json.loads((data / "annotations" / "val.json").read_text())
    labels["annotations"] = labels["annotations"][:4]  # unlike val
    (data / "annotations" / "test.json").write_text(json.dumps(labels))

    variants = variants_called(["full", "bare"])
    assert variants == (NO_TOP_HEADS, FULL)
    ablation = Ablation(recipe, tmp_path / "runs", seeds=1, variants=variants, split="test")
    for run, bias in zip(ablation.runs, (0.0, 1.0), strict=True):
        run.folder.mkdir(parents=True)
        model = initial_model(read_recipe(recipe, overrides=run.variant.settings))
        for head in model.heads:
            torch.nn.init.constant_(head.get_submodule("class_logits").get_parameter("bias"), bias)
        save_detector(run.folder / BEST_FILE, model, input_px=64, training={})
    seen: list[int] = []
    ablation.score(watch=seen.append)
    assert seen == [1, 2]
    dataset = read_dataset(data, split="test")
    expected = [evaluate(Detector(TorchRuntime.open(run.folder / BEST_FILE)), dataset) for run in ablation.runs]
    for variant, accuracy in zip(variants, expected, strict=True):
        assert ablation.accuracy(variant, "AP") == [accuracy.as_dict()["AP"]]
        assert ablation.accuracy(variant, "APvt") == [None]

    results = [run.folder / "test.json" for run in ablation.runs]
    before = [path.stat().st_mtime_ns for path in results]
    ablation.score()
    assert [path.stat().st_mtime_ns for path in results] == before
    costs = {v.slug: Cost(parameters=3_000_000, macs=10**9, latency_ms=10.0 + i) for i, v in enumerate(variants)}
    write_report(tmp_path / "page.md", ablation, costs, command="tinydet ablate recipe.toml")
    text = (tmp_path / "page.md").read_text()
    assert "on the split test of" in text and "(of 5) that is best on val" in text
    assert text.count("\n| heads on P2-P4 only |") == 1 and "plain FPN" not in text and "CEM |" not in text
    with pytest.raises(InputError, match="no variant is called 'cme': expected some of fpn, bare"):
        variants_called(["cme"])
    with pytest.raises(InputError, match="expected each variant once, got 'full,full'"):
        variants_called(["full", "full"])


@pytest.mark.slow
def test_runs_are_ordinary_trainings_and_finished_ones_are_not_repeated(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, write_data(tmp_path / "data"))
    seen: list[int] = []
    Ablation(recipe, tmp_path / "runs", seeds=1, overrides=SHORT).train(jobs=3, watch=seen.append)
    assert seen[-1] == len(VARIANTS)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")}
    assert len(files) == 3 * len(VARIANTS)
    Ablation(recipe, tmp_path / "runs", seeds=1, overrides=SHORT).train(jobs=3)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    with pytest.raises(InputError, match=r"written by a recipe with other schedule\.batch"):
        Ablation(recipe, tmp_path / "runs", seeds=1, overrides=(*SHORT, "schedule.batch=3"))


def test_help_names_every_variant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ablate", "--help"])
    output = "".join(capsys.readouterr().out.split())  # lines may end within a name
    assert all(variant.slug in output for variant in VARIANTS)

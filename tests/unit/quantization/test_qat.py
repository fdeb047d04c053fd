"""Fine-tuning on the INT8 grid, small enough to be repeated and resumed in a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.networks import CALIBRATION, CLASS_NAMES, calibrated, images, loaded_detector
from tests.paths import REPOSITORY
from tests.unit.training.small_run import write_data
from tinydet.edge.errors import InputError
from tinydet.quantization import qat
from tinydet.quantization.distillation import distillation_loss
from tinydet.quantization.export_graph import as_batch
from tinydet.quantization.ptq import Calibration, QuantizedNetwork
from tinydet.quantization.qat import BEST_FILE, Finetuning, check_can_start
from tinydet.quantization.qat_recipe import QatRecipe, read_qat_recipe
from tinydet.quantization.quantized_file import load_quantized

RECIPES = REPOSITORY / "quantization" / "recipes"
SIDE = 64
RECIPE = """
[data]
train = ["{data}"]
val = "{data}"
classes = ["small-vehicle", "large-vehicle", "person"]
crop_px = 64
workers = 0
[schedule]
epochs = 2
steps_per_epoch = 2
batch = 2
warmup_steps = 0
[optimizer]
learning_rate = 1e-3
[qat]
follow = 0.5
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> QatRecipe:
    folder = tmp_path_factory.mktemp("qat")
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(data=write_data(folder / "data")))
    return read_qat_recipe(path)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrated(loaded_detector().model, images(2, seed=2, size_px=SIDE))


@pytest.fixture(scope="module")
def start(calibration: Calibration) -> QuantizedNetwork:
    return QuantizedNetwork(
        graph=calibration.quantized_graph("mse"),
        input_hw=(SIDE, SIDE),
        method="ptq",
        calibration={**CALIBRATION, "ranges": "mse"},
    )


def closeness(network: QuantizedNetwork) -> float:
    """A score that fine-tuning changes: higher is nearer to the float network."""
    x = as_batch(images(1, seed=7, size_px=SIDE)[0])
    with torch.no_grad():
        raw = loaded_detector().model(x)
        return -float((network.graph(x)[0] - raw.logits[0]).square().mean())


def finetuning(
    calibration: Calibration, start: QuantizedNetwork, recipe: QatRecipe, folder: Path, *, resume: bool = False
) -> Finetuning:
    return Finetuning(loaded_detector(), calibration, start, recipe, folder, score=closeness, resume=resume)


def test_it_starts_from_the_calibrated_network_exactly(
    calibration: Calibration, start: QuantizedNetwork, recipe: QatRecipe, tmp_path: Path
) -> None:
    run = finetuning(calibration, start, recipe, tmp_path)
    for rounding in run._activation_quantizers().values():
        rounding.disable_observer()
    x = as_batch(images(1, seed=7, size_px=SIDE)[0])
    with torch.no_grad():
        for got, want, again in zip(run.graph(x), start.graph(x), run._quantized_network().graph(x), strict=True):
            assert (got - want).abs().mean() < 0.02 * want.std()  # a tie may round to the neighbouring grid point
            torch.testing.assert_close(again, want, rtol=0, atol=0)


def test_a_killed_run_resumes_to_the_same_result(
    calibration: Calibration,
    start: QuantizedNetwork,
    recipe: QatRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = finetuning(calibration, start, recipe, tmp_path / "whole")
    whole.run()
    assert [row["epoch"] for row in whole.history] == [0, 1, 2]
    assert whole.history[1]["AP"] != whole.history[0]["AP"]

    killed = finetuning(calibration, start, recipe, tmp_path / "killed")

    def stop(progress: qat.QatProgress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(stop)
    resumed = finetuning(calibration, start, recipe, tmp_path / "killed", resume=True)
    assert resumed.epoch == 1
    resumed.run()
    assert resumed.history == whole.history
    assert (tmp_path / "killed" / BEST_FILE).read_bytes() == (tmp_path / "whole" / BEST_FILE).read_bytes()
    for name, parameter in whole.graph.named_parameters():
        torch.testing.assert_close(resumed.graph.get_parameter(name), parameter, rtol=0, atol=0)
    assert load_quantized(tmp_path / "killed" / BEST_FILE).network.method == resumed.best.method

    with pytest.raises(InputError, match="holds a QAT run: add --resume"):
        finetuning(calibration, start, recipe, tmp_path / "killed")


def test_the_calibrated_network_is_kept_if_no_epoch_is_better(
    calibration: Calibration, start: QuantizedNetwork, recipe: QatRecipe, tmp_path: Path
) -> None:
    scores = iter([0.5, 0.4, 0.3])
    run = Finetuning(loaded_detector(), calibration, start, recipe, tmp_path, score=lambda network: next(scores))
    assert run.run() is start


def test_a_loss_that_is_no_number_stops_the_run(
    calibration: Calibration, start: QuantizedNetwork, recipe: QatRecipe, tmp_path: Path
) -> None:
    run = finetuning(calibration, start, recipe, tmp_path)
    run.loss.register_forward_hook(lambda module, inputs, loss: loss._replace(total=loss.total * float("nan")))
    with pytest.raises(InputError, match=r"became nan at step 0: lower optimizer.learning_rate"):
        run.run()


def test_other_classes_and_nothing_to_resume(
    calibration: Calibration, start: QuantizedNetwork, recipe: QatRecipe, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        finetuning(calibration, start, recipe, tmp_path, resume=True)
    settings = SimpleNamespace(data=SimpleNamespace(classes=CLASS_NAMES[::-1]))
    with pytest.raises(InputError, match="QAT needs the same classes in the same order"):
        finetuning(calibration, start, settings, tmp_path)  # type: ignore[arg-type]  # only classes are looked at


def test_training_data_that_do_not_exist_stop_a_run_before_it_starts(recipe: QatRecipe, tmp_path: Path) -> None:
    missing = replace(recipe, data=replace(recipe.data, train=("nowhere",)))
    with pytest.raises(InputError, match="data set nowhere does not exist"):
        check_can_start(missing, loaded_detector(), tmp_path, resume=False)


def test_fine_tuning_brings_the_outputs_nearer_to_the_float_network_s(
    calibration: Calibration, start: QuantizedNetwork, recipe: QatRecipe, tmp_path: Path
) -> None:
    run = finetuning(calibration, start, recipe, tmp_path)
    optimizer = torch.optim.AdamW(run.graph.parameters(), lr=1e-5)
    batch = torch.cat([as_batch(image) for image in images(4, seed=2, size_px=SIDE)])
    with torch.no_grad():
        before = float(distillation_loss(run.graph(batch), run.teacher(batch)))
    for _ in range(15):
        loss = distillation_loss(run.graph(batch), run.teacher(batch))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    with torch.no_grad():
        after = float(distillation_loss(run._quantized_network().graph(batch), run.teacher(batch)))
    assert after < 0.9 * before


def test_equal_outputs_cost_nothing() -> None:
    outputs = [torch.randn(2, 3, 4, 4), torch.randn(2, 4, 4, 4)]
    assert float(distillation_loss(outputs, outputs)) == pytest.approx(0.0, abs=1e-6)
    moved = [outputs[0] + 1.0, outputs[1]]
    assert float(distillation_loss(moved, outputs)) > 0.01


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_say_what_they_reached(path: Path) -> None:
    read_qat_recipe(path)
    text = path.read_text()
    assert ("# Reached when last run: " in text) != ("# Not run here: " in text)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("qat.distillation=-1", "qat.distillation: expected 0 to 1000000, got -1"),
        ("qat.follow=2", "qat.follow: expected 0 to 1, got 2"),
        ("grid.activation_bits=6", "unknown field grid"),
        ("qat.distil=1", "unknown field qat.distil; did you mean qat.distillation?"),
    ],
)
def test_a_wrong_field_is_one_line_that_names_it(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_qat_recipe(RECIPES / "qat-n.toml", overrides=[override])
    assert message in str(caught.value)

"""Blocks ranked by the effect of rounding each alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.networks import CALIBRATION, calibrated, detector, images
from tinydet.quantization.calibration_methods import FLOAT_ROUNDING_DB, OutputFidelity, mean_sqnr_db
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.quantization.sensitivity import block_title, measure_sensitivity, most_sensitive, write_figure

SIDE = 64


def test_every_block_is_ranked_and_drawn(tmp_path: Path) -> None:
    shown = images(2, seed=2, size_px=SIDE)
    calibration = calibrated(detector(), shown)
    network = QuantizedNetwork(
        graph=calibration.quantized_graph("min-max"),
        input_hw=(SIDE, SIDE),
        method="ptq",
        calibration={**CALIBRATION, "ranges": "min-max"},
    )
    fidelity = OutputFidelity(detector(), shown)
    calibration.blocks = ["stem", "cem", "heads.0"]
    entries = measure_sensitivity(calibration, fidelity, network)
    assert {entry.block for entry in entries} == {"stem", "cem", "heads.0"}
    ratios = [entry.sqnr_db for entry in entries]
    assert ratios == sorted(ratios)
    # All blocks together are noisier than any alone, but for what rounding errors happen to cancel.
    assert min(ratios) >= fidelity.sqnr_db(network.graph) - 0.5
    assert most_sensitive(entries, 1).startswith(f"{entries[0].block} (")
    write_figure(tmp_path / "figure.png", entries)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_sqnr_of_known_noise() -> None:
    signal = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    noise = 0.1 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(1))
    assert mean_sqnr_db([[signal + 7 + noise]], [[signal + 7]]) == pytest.approx(20.0, abs=0.2)


def test_outputs_that_no_quantized_value_reaches_do_not_count() -> None:
    signal = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    noisy = signal + 0.1 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(1))
    same = signal * (1 + 1e-6)
    assert mean_sqnr_db([[noisy, same, signal]], [[signal] * 3]) == pytest.approx(20.0, abs=0.2)
    assert mean_sqnr_db([[same, signal]], [[signal] * 2]) == FLOAT_ROUNDING_DB


def test_the_paper_s_modules_are_named() -> None:
    assert block_title("cem") == "cem (context enhancement)"
    assert block_title("fbsm.1") == "fbsm.1 (foreground gate)"
    assert block_title("stages.3") == "stages.3"

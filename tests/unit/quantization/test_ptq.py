from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.networks import INPUT_HW, calibrated, detector, images, quantized_graph
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image
from tinydet.quantization.calibration import find_calibration_images
from tinydet.quantization.export_graph import as_batch
from tinydet.quantization.ptq import Calibration, quantize


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="at least one image, got none"):
        Calibration(detector(), input_hw=INPUT_HW).quantized_graph("min-max")


def test_the_graph_takes_any_batch() -> None:
    graph = quantized_graph()
    batch = torch.cat([as_batch(image) for image in images(2, seed=5)])
    for together, first, second in zip(graph(batch), graph(batch[:1]), graph(batch[1:]), strict=True):
        alone = torch.cat([first, second])
        step = float(np.diff(np.unique(alone.numpy())).min())  # values of different grid points differ by this at least
        # Float kernels sum in another order for another batch, and a tie then rounds to the neighbouring grid point.
        assert (together - alone).abs().mean() < 2 * step
        assert together.std() > 10 * step


def test_files_are_letterboxed_counted_and_recorded(tmp_path: Path) -> None:
    for index, image in enumerate(images(2, seed=2)):
        write_image(tmp_path / f"{index}.png", image)
    seen: list[str] = []

    def watch(paths: Sequence[Path]) -> Sequence[Path]:
        seen.extend(path.name for path in paths)
        return paths

    calibration = find_calibration_images(tmp_path)
    network = quantize(detector(), calibration, input_hw=INPUT_HW, progress=watch)
    assert seen == ["0.png", "1.png"]
    assert (network.method, network.input_hw, network.float_blocks) == ("ptq", INPUT_HW, ())
    assert network.calibration == {**calibration.as_metadata(), "ranges": "min-max"}
    direct = calibrated(detector(), images(2, seed=2)).quantized_graph("min-max")
    x = as_batch(images(1, seed=6)[0])
    for got, want in zip(network.graph(x), direct(x), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_quantizing_prints_and_logs_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    calibrated(detector(fbsm="off"), images(1)).quantized_graph("min-max")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records

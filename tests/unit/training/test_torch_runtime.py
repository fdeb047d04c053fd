"""A checkpoint's runtime is checked as an artifact's is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.networks import INPUT_PX, detector
from tinydet.edge.errors import InputError
from tinydet.training.torch_runtime import TorchRuntime


def runtime() -> TorchRuntime:
    return TorchRuntime(detector(), input_px=INPUT_PX, checkpoint_sha256="2" * 64)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=rf"expected uint8 \(N, {INPUT_PX}, {INPUT_PX}, 3\)"):
        runtime().infer(np.zeros((1, 2 * INPUT_PX, INPUT_PX, 3), np.uint8))


def test_a_mask_that_only_teaches_is_not_computed() -> None:
    model = detector(fbsm="teacher")
    calls: list[object] = []
    handle = model.neck.get_submodule("gates.0").register_forward_hook(lambda *_: calls.append(0))
    try:
        TorchRuntime(model, input_px=INPUT_PX, checkpoint_sha256="2" * 64).infer(
            np.zeros((1, INPUT_PX, INPUT_PX, 3), np.uint8)
        )
        assert not calls
        model(torch.zeros(1, 3, INPUT_PX, INPUT_PX))
        assert calls
    finally:
        handle.remove()


def test_outputs_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = runtime()
    bias = opened.model.heads[0].distances.bias  # type: ignore[union-attr]  # a list of modules
    monkeypatch.setattr(bias, "data", torch.full_like(bias.data, torch.nan))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the model gives NaN or infinity in distances_p2"):
        opened.infer(np.zeros((1, INPUT_PX, INPUT_PX, 3), np.uint8))

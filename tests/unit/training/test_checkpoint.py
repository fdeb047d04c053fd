"""Checkpoints: sound ones load, damaged and senseless ones are refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.networks import detector
from tinydet.edge.artifact import METADATA_KEY
from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import load_detector, load_tensors, save_detector, save_tensors
from tinydet.training.model.config import Fbsm

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "n.safetensors"
    save_detector(path, detector(), input_px=128, training={"epoch": 1})
    return path


def test_a_checkpoint_loads(good: Path) -> None:
    loaded = load_detector(good)
    assert (loaded.input_px, loaded.training, loaded.model.config) == (128, {"epoch": 1}, detector().config)


def test_a_checkpoint_of_an_earlier_version_has_no_check_sum(good: Path, tmp_path: Path) -> None:
    tensors, metadata = load_tensors(good)
    assert "tinydet_weights_crc32" not in metadata
    save_file(tensors, tmp_path / "n.safetensors", metadata={METADATA_KEY: json.dumps(metadata)})
    assert load_detector(tmp_path / "n.safetensors").input_px == 128


@pytest.mark.parametrize(("flag", "fbsm"), [(True, "gate"), (False, "off")])
def test_the_fbsm_flag_of_an_earlier_version_loads(*, flag: bool, fbsm: Fbsm, tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    save_detector(path, detector(fbsm=fbsm), input_px=128, training={})
    tensors, metadata = load_tensors(path)
    assert metadata["model"]["fbsm"] == fbsm
    metadata["model"]["fbsm"] = flag
    save_tensors(path, tensors, metadata)
    assert load_detector(path).model.config == detector(fbsm=fbsm).config


def test_a_flipped_bit(good: Path, tmp_path: Path) -> None:
    content = bytearray(good.read_bytes())
    content[-1000] ^= 4
    path = tmp_path / "n.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged: its check sum is"):
        load_detector(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("model.size", "../escaped/x", "model.size: expected 1 to 64 letters"),
        ("model.size", "/tmp/x", "model.size: expected 1 to 64 letters"),
        ("model.channels", 0, "model.channels: expected 1 to 512, got 0"),
        ("model.channels", "48", "model.channels: expected a whole number, got '48'"),
        ("model.channels", 56, "does not fit this model"),
        ("model.head_convs", 1_000_000, "model.head_convs: expected 0 to 8"),
        ("model.fbsm", 1, "model.fbsm: expected gate or teacher or off, got 1"),
        ("model.fbsm", "off", "does not fit this model"),
        ("model.neck", "fpn", "neck 'fpn' has neither module"),
        ("model.class_names", ["a", "a"], "class names: expected each once"),
        ("model.class_names", ["a\x1b[31m", "b", "c"], r"class_names\[0\]: expected 1 to 200 printable characters"),
        ("model.class_names", ["a\ud800", "b", "c"], "lone surrogates"),
        ("model.channel", 48, r"unknown field model\.channel; did you mean model\.channels\?"),
        ("model", [], "model: expected a table"),
        ("input_px", None, "input_px: expected a whole number, got None"),
        ("input_px", 100, "input_px: expected a multiple of 64"),
        ("input_px", 2**40, "input_px: expected a multiple of 64 up to 8192"),
        ("training", 5, "training: expected a table"),
        ("schema", 2, "is not a tinydet checkpoint of schema 1"),
    ],
)
def test_senseless_metadata(good: Path, tmp_path: Path, place: str, value: Any, message: str) -> None:
    tensors, metadata = load_tensors(good)
    *holders, name = place.split(".")
    holder = metadata[holders[0]] if holders else metadata
    holder[name] = value
    with pytest.raises(InputError, match=message):
        load_detector(_saved(tmp_path, tensors, metadata))


def _change(tensors: Tensors, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    name = next(name for name in tensors if name.endswith("class_logits.weight"))
    tensors[name] = change(tensors[name].clone())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.fill_(float("nan")), "are NaN or infinite"),
        (lambda weight: weight.index_fill_(0, torch.tensor([0]), float("inf")), "are NaN or infinite"),
        (lambda weight: weight.fill_(3e38), "the network gives NaN or infinity"),
        (lambda weight: weight.double(), "should be float32 .*, the file has float64"),
        (lambda weight: weight.to(torch.int8), "should be float32 .*, the file has int8"),
        (lambda weight: weight.to(torch.float8_e4m3fn), "should be float32 .*, the file has float8_e4m3fn"),
        (lambda weight: weight[:1], "does not fit this model"),
    ],
)
def test_weights_that_are_no_numbers_of_the_network(
    good: Path, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    tensors, metadata = load_tensors(good)
    _change(tensors, change)
    with pytest.raises(InputError, match=message):
        load_detector(_saved(tmp_path, tensors, metadata))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 9000, "levels of objects and lists"),
        ("[1]", "expected an object"),
        ('{"schema": ' + "1" * 5000 + "}", "whole numbers of at most 64 bits"),
        ("{", "broken JSON"),
    ],
)
def test_metadata_that_is_no_object(good: Path, tmp_path: Path, text: str, message: str) -> None:
    tensors, _ = load_tensors(good)
    save_file(tensors, tmp_path / "n.safetensors", metadata={METADATA_KEY: text})
    with pytest.raises(InputError, match=message):
        load_detector(tmp_path / "n.safetensors")


def _saved(folder: Path, tensors: Tensors, metadata: dict[str, Any]) -> Path:
    path = folder / "changed.safetensors"
    save_tensors(path, tensors, metadata)
    return path

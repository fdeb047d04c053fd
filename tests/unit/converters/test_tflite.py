"""Translation of graphs to TFLite, on a network with every operator; artifacts of `n` are in tests/parity."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn import functional as F

pytest.importorskip("litert_torch")

from tests.models import spot_metadata
from tests.networks import images
from tests.tflite_models import write_spot_tflite
from tinydet.converters.tflite import TfliteTarget
from tinydet.converters.tflite_graph import operators, with_float_constants
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.litert import LiteRuntime
from tinydet.edge.runtimes.tflite_file import join, read_tflite
from tinydet.quantization.export_graph import as_batch
from tinydet.quantization.pt2e import QUANTIZE, convert_pt2e, prepare_pt2e
from tinydet.quantization.quantizer import EdgeQuantizer
from tinydet.quantization.torch_logging import quiet_torch

METADATA = spot_metadata(strides=(4,), precision="int8", quantization="ptq")
SIZE_PX = METADATA.input_hw[0]


class SmallNetwork(nn.Module):
    """Six convolutions with every operator of the detector's neck between them; two outputs at stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.ReLU6(), nn.Conv2d(8, 16, 1), nn.ReLU6())
        self.gate = nn.Conv2d(16, 16, 1)
        self.logits = nn.Conv2d(16, 1, 1)
        self.distances = nn.Conv2d(16, 4, 1)

    def forward(self, images_nchw: Tensor) -> tuple[Tensor, Tensor]:
        x_nchw = self.body(self.stem(images_nchw))
        gated = x_nchw * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x_nchw, 1)))
        y_nchw = gated + F.interpolate(F.max_pool2d(gated, 2, 2), scale_factor=2.0, mode="nearest")
        return self.logits(y_nchw), self.distances(y_nchw)


class PartlyFloatQuantizer(EdgeQuantizer):
    """Leaves some layers without a grid; the consumers of their outputs give those one."""

    def __init__(self, float_layers: tuple[str, ...]) -> None:
        super().__init__()
        self.float_layers = float_layers

    def _annotate_operator(self, node: Node) -> None:
        path, _ = list(node.meta["nn_module_stack"].values())[-1]
        if path.startswith(self.float_layers):
            return
        super()._annotate_operator(node)
        inputs = node.meta["quantization_annotation"].input_qspec_map
        for producer in inputs:
            if producer.op == "call_function" and "quantization_annotation" not in producer.meta:
                inputs[producer] = self.activation


@cache
def captured() -> GraphModule:
    torch.manual_seed(0)
    network = SmallNetwork().eval()
    with quiet_torch():
        graph = torch.export.export(network, (torch.zeros(1, 3, SIZE_PX, SIZE_PX),)).module(check_guards=False)
    assert isinstance(graph, GraphModule)
    return graph


@cache
def quantized(float_layers: tuple[str, ...] = ()) -> GraphModule:
    with quiet_torch():
        observed = prepare_pt2e(copy.deepcopy(captured()), PartlyFloatQuantizer(float_layers))
        with torch.no_grad():
            for image in images(2, size_px=SIZE_PX):
                observed(as_batch(image))
        graph = convert_pt2e(observed)
    assert isinstance(graph, GraphModule)
    return graph


def write(path: Path, graph: GraphModule, metadata: ArtifactMetadata = METADATA) -> Path:
    path.write_bytes(join(TfliteTarget().build(graph, metadata), metadata))
    return path


def largest_difference(path: Path, graph: GraphModule) -> float:
    """Between the artifact and the graph it was made from, on a new image."""
    (image,) = images(1, seed=9, size_px=SIZE_PX)
    with LiteRuntime.open(path, threads=1) as runtime, torch.no_grad():
        outputs = zip(runtime.infer(image[None]), graph(as_batch(image)), strict=True)
        return max(float(np.abs(got - want.permute(0, 2, 3, 1).numpy()).max()) for got, want in outputs)


def steps(path: Path) -> list[float]:
    return [scale for scale, _ in TfliteTarget().grid(path)]


def test_constants_in_float_change_nothing() -> None:
    graph = quantized()
    code = graph.code
    unfolded = with_float_constants(graph)
    assert graph.code == code
    assert unfolded.code != code
    batch = as_batch(images(1, size_px=SIZE_PX)[0])
    with torch.no_grad():
        for got, want in zip(unfolded(batch), graph(batch), strict=True):
            assert torch.equal(got, want)


@pytest.mark.slow
def test_float_is_the_graph_it_was_made_from(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "float.tflite", captured(), spot_metadata(strides=(4,)))
    assert largest_difference(path, captured()) < 1e-5
    assert "TRANSPOSE" not in {operator.name for operator in operators(read_tflite(path).model)}
    assert TfliteTarget().grid(path) == frozenset()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_all_int8(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "int8.tflite", quantized())
    assert TfliteTarget().summary(path) == "6 of 6 convolutions in INT8"
    assert TfliteTarget().float_operators(path) == 0
    grids = {(np.float32(n.args[1]).item(), n.args[2]) for n in quantized().graph.nodes if n.target is QUANTIZE}
    assert TfliteTarget().grid(path) == grids
    assert largest_difference(path, quantized()) <= 2 * max(steps(path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_layers_without_grids_stay_float(tmp_path: Path) -> None:
    """Two in the middle of the graph and one that writes an output."""
    graph = quantized(("body", "logits"))
    path = write(tmp_path / "partly.tflite", graph)
    assert TfliteTarget().summary(path) == "3 of 6 convolutions in INT8"
    assert TfliteTarget().float_operators(path) >= 3
    assert "TRANSPOSE" not in {operator.name for operator in operators(read_tflite(path).model)}
    assert largest_difference(path, graph) <= 2 * max(steps(path))


def test_files_that_are_no_tflite_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.tflite"
    path.write_text("just some notes", encoding="utf-8")
    for ask in (TfliteTarget().grid, TfliteTarget().summary, TfliteTarget().float_operators):
        with pytest.raises(InputError, match="not a TFLite model"):
            ask(path)


def test_a_float_artifact_has_no_grids(tmp_path: Path) -> None:
    path = write_spot_tflite(tmp_path / "spots.tflite")
    assert TfliteTarget().grid(path) == frozenset()
    assert TfliteTarget().summary(path) == "0 of 6 convolutions in INT8"
    assert TfliteTarget().float_operators(path) == 9

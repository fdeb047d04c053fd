"""Files of quantized networks: the INT8 numbers bit for bit, and the float network they were made from.

A file is safetensors. `int8/...`: rounded weights, their scales, and biases. `float/...`: the checkpoint's weights. The
header holds the activations' grids and everything else that identifies the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from torch import Tensor
from torch.fx import GraphModule, Node

from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import Range
from tinydet.edge.files.printable import printable, shown
from tinydet.edge.files.schema import Name, Sha256, validated
from tinydet.quantization.pt2e import DEQUANTIZE, DEQUANTIZE_WEIGHT, QUANTIZE
from tinydet.quantization.ptq import Calibration, QuantizedNetwork
from tinydet.training.checkpoint import (
    LoadedDetector,
    SidePx,
    check_outputs,
    check_tensors_finite,
    load_metadata,
    load_model,
    load_tensors,
    save_tensors,
)
from tinydet.training.earlier_versions import upgraded
from tinydet.training.model import ModelConfig

QUANTIZED_SCHEMA = 1
GRID = {"activation_bits": 8, "weights_per_channel": True}  # in files of versions that had experimental grids too

Scale = Annotated[float, Range(0, 1e6, above=True)]
ZeroPoint = Annotated[int, Range(-128, 127)]


@dataclass(frozen=True, kw_only=True)
class QuantizedMetadata:
    """The metadata of the file. activations: (scale, zero point) by operator."""

    quantized: Literal[1]
    model: ModelConfig
    input_px: SidePx
    checkpoint_sha256: Sha256
    training: dict[str, Any]
    input_hw: tuple[SidePx, SidePx]
    method: Literal["ptq", "qat"]
    calibration: dict[str, Any]
    float_blocks: tuple[Name, ...]
    activations: dict[str, tuple[Scale, ZeroPoint]]
    history: dict[str, Any]
    grid: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedFile:
    """Content of a file. loaded: the float checkpoint. history: scores of methods and epochs, for people."""

    loaded: LoadedDetector
    network: QuantizedNetwork
    history: dict[str, Any]


def save_quantized(path: Path, loaded: LoadedDetector, network: QuantizedNetwork, *, history: dict[str, Any]) -> None:
    """Write the INT8 and the float network to `path`; the same arguments give the same bytes."""
    tensors = {f"float/{name}": tensor for name, tensor in loaded.model.state_dict().items()}
    tensors |= {f"int8/{name}": tensor for name, tensor in _read_tensors(network.graph).items()}
    metadata = {
        "quantized": QUANTIZED_SCHEMA,
        "model": loaded.model.config.as_dict(),
        "input_px": loaded.input_px,
        "checkpoint_sha256": loaded.sha256,
        "training": loaded.training,
        "input_hw": list(network.input_hw),
        "method": network.method,
        "calibration": network.calibration,
        "float_blocks": list(network.float_blocks),
        "activations": {node.name: [*node.args[1:3]] for node in _quantizing_nodes(network.graph)},
        "history": history,
    }
    save_tensors(path, tensors, metadata)


def is_quantized(path: Path) -> bool:
    """Whether `path` is a file of `save_quantized`. Raises `InputError` when it is no safetensors file of ours."""
    return "quantized" in load_metadata(path)


def load_quantized(path: Path) -> QuantizedFile:
    """Read what `save_quantized` wrote. Raises `InputError` for anything else."""
    tensors, content = load_tensors(path)
    source = printable(path)
    if content.get("quantized") != QUANTIZED_SCHEMA:
        version = shown(content.get("quantized"))
        raise InputError(
            f"{source} is no quantized network of schema {QUANTIZED_SCHEMA} (it has {version}): "
            "expected what `tinydet quantize` wrote"
        )
    if content.get("grid", GRID) != GRID:
        raise InputError(f"{source} is on an experimental grid that no artifact carries: quantize its checkpoint again")
    metadata = validated(upgraded(content), QuantizedMetadata, source=source, fix="quantize its checkpoint again")
    check_tensors_finite(tensors, source=source)
    model = load_model(metadata.model, _part(tensors, "float"), source=source)
    loaded = LoadedDetector(
        model=model, input_px=metadata.input_px, sha256=metadata.checkpoint_sha256, training=metadata.training
    )
    height, width = metadata.input_hw
    calibration = Calibration(model, input_hw=(height, width), float_blocks=metadata.float_blocks)
    check_outputs(calibration.observe_weights(), source=source)
    graph = calibration.convert(dict.fromkeys(calibration.observers(), (0.0, 1.0)))
    _fill(graph, _part(tensors, "int8"), metadata.activations, source=source)
    network = QuantizedNetwork(
        graph=graph,
        input_hw=(height, width),
        method=metadata.method,
        calibration=metadata.calibration,
        float_blocks=calibration.float_blocks,
    )
    return QuantizedFile(loaded=loaded, network=network, history=metadata.history)


def _fill(
    graph: GraphModule, tensors: dict[str, Tensor], grids: Mapping[str, tuple[float, int]], *, source: str
) -> None:
    """Put the stored numbers into a graph of the same network."""
    stored = _read_tensors(graph)
    nodes = {node.name: node for node in _quantizing_nodes(graph)}
    same = stored.keys() == tensors.keys() and all(
        stored[name].shape == tensor.shape and stored[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )
    if not same or nodes.keys() != grids.keys():
        raise InputError(f"{source} was quantized by another version of tinydet or torchao: quantize it again")
    for name, scales, zero_points in _weight_grids(graph):
        if not (tensors[scales] > 0).all() or tensors[zero_points].any():
            raise InputError(
                f"{source}: expected scales above 0 and zero points of 0 for the weights of {name}: quantize it again"
            )
    for name, tensor in tensors.items():
        stored[name].copy_(tensor)
    for name, node in nodes.items():
        scale, zero_point = grids[name]
        node.args = (node.args[0], scale, zero_point, *node.args[3:])
    graph.recompile()


def _read_tensors(graph: GraphModule) -> dict[str, Tensor]:
    """Tensors that the graph reads, by name; torchao leaves the float weights beside the rounded ones."""
    read = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    known = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
    return {name: known[name].detach() for name in sorted(read)}


def _weight_grids(graph: GraphModule) -> Iterator[tuple[str, str, str]]:
    """Names of an operator with one grid a channel, of its scales and of its zero points."""
    for node in graph.graph.nodes:
        if node.target is DEQUANTIZE_WEIGHT:
            yield node.name, str(node.args[1].target), str(node.args[2].target)


def _quantizing_nodes(graph: GraphModule) -> list[Node]:
    """The operators that carry an activation's scale and zero point."""
    return [node for node in graph.graph.nodes if node.target in (QUANTIZE, DEQUANTIZE)]


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}

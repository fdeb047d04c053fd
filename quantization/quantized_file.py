"""A quantized network as a file: its INT8 numbers bit for bit, and the float network it was made from.

One safetensors file. `int8/...`: the rounded weights, their scales and the biases. `float/...`: the checkpoint's
weights. The header holds the activations' grids and everything else that identifies the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from tinydet.edge.errors import InputError
from tinydet.quantization.pt2e import DEQUANTIZE, QUANTIZE
from tinydet.quantization.ptq import Calibration, QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector, load_tensors, load_weights, save_tensors
from tinydet.training.model import ModelConfig, build_detector

QUANTIZED_SCHEMA = 1
THE_GRID = {"activation_bits": 8, "weights_per_channel": True}  # written by versions that had others to experiment with


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedState:
    """What the file holds. loaded: the float checkpoint. history: how the network came about, for people."""

    loaded: LoadedDetector
    network: QuantizedNetwork
    history: dict[str, Any]


def save_quantized(path: Path, loaded: LoadedDetector, network: QuantizedNetwork, *, history: dict[str, Any]) -> None:
    """Write both networks to `path`; the same networks and history give the same bytes."""
    tensors = {f"float/{name}": tensor for name, tensor in loaded.model.state_dict().items()}
    tensors |= {f"int8/{name}": tensor for name, tensor in _stored(network.graph).items()}
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
        "activations": {node.name: [*node.args[1:3]] for node in _on_grid(network.graph)},
        "history": history,
    }
    save_tensors(path, tensors, metadata)


def is_quantized(path: Path) -> bool:
    """Whether `path` is a file of `save_quantized`. Raises `InputError` when it is no safetensors file of ours."""
    return "quantized" in load_tensors(path)[1]


def load_quantized(path: Path) -> QuantizedState:
    """Read what `save_quantized` wrote. Raises `InputError` for anything else."""
    tensors, metadata = load_tensors(path)
    if metadata.get("quantized") != QUANTIZED_SCHEMA:
        raise InputError(
            f"{path} is no quantized network of schema {QUANTIZED_SCHEMA} (it says {metadata.get('quantized')!r}): "
            "expected what `tinydet quantize` wrote"
        )
    if metadata.get("grid", THE_GRID) != THE_GRID:
        raise InputError(f"{path} is on an experimental grid that no artifact carries: quantize its checkpoint again")
    model = build_detector(ModelConfig.from_dict(metadata["model"]))
    load_weights(model, _part(tensors, "float"), source=str(path))
    loaded = LoadedDetector(
        model=model.eval(),
        input_px=metadata["input_px"],
        sha256=metadata["checkpoint_sha256"],
        training=metadata["training"],
    )
    height, width = metadata["input_hw"]
    calibration = Calibration(model, input_hw=(height, width), float_blocks=metadata["float_blocks"])
    with torch.no_grad():
        calibration.observed(torch.zeros(1, 3, height, width))
    graph = calibration.rounded(dict.fromkeys(calibration.observers(), (0.0, 1.0)))
    _fill(graph, _part(tensors, "int8"), metadata["activations"], source=path)
    network = QuantizedNetwork(
        graph=graph,
        input_hw=(height, width),
        method=metadata["method"],
        calibration=metadata["calibration"],
        float_blocks=calibration.float_blocks,
    )
    return QuantizedState(loaded=loaded, network=network, history=metadata["history"])


def _fill(graph: GraphModule, tensors: dict[str, Tensor], grids: dict[str, list[Any]], *, source: Path) -> None:
    """Put the stored numbers into a graph of the same network."""
    stored = _stored(graph)
    nodes = {node.name: node for node in _on_grid(graph)}
    same = stored.keys() == tensors.keys() and all(stored[name].shape == tensors[name].shape for name in stored)
    if not same or nodes.keys() != grids.keys():
        raise InputError(f"{source} was quantized by another version of tinydet or torchao: quantize it again")
    for name, tensor in tensors.items():
        stored[name].copy_(tensor)
    for name, node in nodes.items():
        scale, zero_point = grids[name]
        node.args = (node.args[0], scale, zero_point, *node.args[3:])
    graph.recompile()


def _stored(graph: GraphModule) -> dict[str, Tensor]:
    """The tensors the graph reads; torchao leaves the float weights beside the rounded ones."""
    read = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    known = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
    return {name: known[name].detach() for name in sorted(read)}


def _on_grid(graph: GraphModule) -> list[Node]:
    """The operators that carry an activation's scale and zero point."""
    return [node for node in graph.graph.nodes if node.target in (QUANTIZE, DEQUANTIZE)]


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}

"""OpenVINO IR: the ONNX graph of the same network, read by OpenVINO and written as .xml and .bin.

The interface is that of onnx.py. The .xml carries the metadata and the SHA-256 of its .bin in rt_info: a
reader who meets the .xml of one export beside the .bin of another says so instead of computing nonsense. The .bin is
written first, under a hidden name with its hash, and gets its name after the .xml: killed at any time, the old pair or
the new one is whole, and a reader finishes what was cut off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from torch.fx import GraphModule

from tinydet.converters.onnx import build_onnx
from tinydet.converters.onnx_graph import UINT8_SHIFT
from tinydet.converters.target import Grid, Target
from tinydet.edge.artifact import METADATA_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.folders import temporary_folder
from tinydet.edge.files.writing import atomic_path
from tinydet.edge.runtimes.openvino import (
    GRAPH_KEY,
    WEIGHTS_KEY,
    OpenvinoRuntime,
    ir_check_sum,
    read_ir,
    staged_weights,
)


class OpenvinoTarget(Target[openvino.Model]):
    """OpenVINO IR; an artifact's path is that of its .xml."""

    name = "openvino"
    precisions = ("fp16", "int8")
    tools = ("onnx", "openvino")

    def build(self, graph: GraphModule, metadata: ArtifactMetadata) -> openvino.Model:
        onnx_bytes = build_onnx(graph, metadata).SerializeToString(deterministic=True)
        model = openvino.Core().read_model(onnx_bytes, b"")
        _number_nameless_operators(model)
        return model

    def read(self, path: Path) -> tuple[openvino.Model, ArtifactMetadata]:
        return read_ir(openvino.Core(), path)

    def write(self, path: Path, model: openvino.Model, metadata: ArtifactMetadata) -> None:
        """See `Target.write`. The .xml that names the hash of the staged .bin makes the pair whole."""
        model.set_rt_info(metadata.to_json(), [METADATA_KEY])
        compress = metadata.precision == "fp16"
        no_sum = "0" * 8
        _, weights_bytes = _saved(model, compress_to_fp16=compress)
        sha256 = hashlib.sha256(weights_bytes).hexdigest()
        model.set_rt_info(sha256, [WEIGHTS_KEY])
        model.set_rt_info(no_sum, [GRAPH_KEY])
        xml_bytes, _ = _saved(model, compress_to_fp16=compress)
        graph_sum = f'<{GRAPH_KEY} value="{ir_check_sum(xml_bytes)}"'
        xml_bytes = xml_bytes.replace(f'<{GRAPH_KEY} value="{no_sum}"'.encode(), graph_sum.encode())
        staged = staged_weights(path, sha256)
        with atomic_path(staged) as partial:
            partial.write_bytes(weights_bytes)
        with atomic_path(path) as partial:
            partial.write_bytes(xml_bytes)
        staged.replace(path.with_suffix(".bin"))
        for leftover in path.parent.glob(f".{escape(path.stem)}.{'[0-9a-f]' * 16}.bin"):
            leftover.unlink(missing_ok=True)

    def summary(self, path: Path) -> str:
        """See `Target.summary`; with the weights' size."""
        weights = path.with_suffix(".bin")
        return f"{weights.stat().st_size / 1e6:.1f} MB in {weights.name}, {super().summary(path)}"

    def count_convolutions(self, path: Path) -> tuple[int, int]:
        """See `Target.count_convolutions`: in the graph as the CPU executes it."""
        with closing(OpenvinoRuntime.open(path)) as runtime:
            infos: list[Any] = [node.get_rt_info() for node in runtime.executed_operators()]
        precisions = [
            info["runtimePrecision"].astype(str) for info in infos if info["layerType"].astype(str) == "Convolution"
        ]
        return sum(precision in ("u8", "i8") for precision in precisions), len(precisions)

    def grid(self, path: Path) -> Grid:
        """See `Target.grid`: of every uint8 tensor that is dequantized, shifted back by 128."""
        model, _ = self.read(path)
        multiplies = (node for node in model.get_ops() if node.get_type_name() == "Multiply")
        return frozenset(pair for node in multiplies for pair in _dequantization(node))

    def float_operators(self, path: Path) -> int:
        """See `Target.float_operators`: of the convolutions, in the graph as the CPU executes it.

        The operators between them read and write bytes, but OpenVINO computes them in float registers, as part of a
        convolution or on their own, so they cannot be counted.
        """
        int8, total = self.count_convolutions(path)
        return total - int8


def _saved(model: openvino.Model, *, compress_to_fp16: bool) -> tuple[bytes, bytes]:
    """Content of the .xml and of the .bin. Raises `InputError` where the disk of temporary files is full.

    They are read back, because OpenVINO does not report every write that failed.
    """
    with temporary_folder() as folder:
        xml, weights = folder / "ir.xml", folder / "ir.bin"
        try:
            openvino.save_model(model, xml, compress_to_fp16=compress_to_fp16)
            openvino.Core().read_model(xml, weights)
        except RuntimeError as error:
            raise InputError(f"cannot write an IR into {folder.parent}: is its disk full?") from error
        return xml.read_bytes(), weights.read_bytes()


def _dequantization(multiply: openvino.Node) -> Iterator[tuple[float, int]]:
    """Scale and int8 zero point if `multiply` is (Convert(x) - zero_point) * scale of a uint8 x.

    The operands come in either order, and a zero point of 0 may have been dropped.
    """
    operands = [value.get_node() for value in multiply.input_values()]
    for source, factor in (operands, operands[::-1]):
        scale = _constant(factor)
        zero_point: npt.NDArray[Any] | None = np.zeros(1, np.uint8)
        if source.get_type_name() == "Subtract":
            zero_point = _constant(source.input_value(1).get_node())
            source = source.input_value(0).get_node()
        if scale is None or scale.size != 1 or zero_point is None or source.get_type_name() != "Convert":
            continue
        if source.get_input_element_type(0) == openvino.Type.u8:
            yield float(np.float32(scale.item())), int(zero_point.item()) - UINT8_SHIFT


def _constant(node: openvino.Node) -> npt.NDArray[Any] | None:
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.get_data()) if node.get_type_name() == "Constant" else None


def _number_nameless_operators(model: openvino.Model) -> None:
    """Rename operators like Constant_687: OpenVINO counts on from model to model, so equal models would differ."""
    for position, node in enumerate(model.get_ordered_ops()):
        kind = node.get_type_name()
        if re.fullmatch(rf"{kind}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{kind}_{position}")

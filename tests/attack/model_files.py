"""Bad variants of model files: their metadata as documents, and what stands around it."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.attack.documents import changed_documents, json_text
from tests.attack.variant import Good, Variant, of_bytes
from tinydet.edge.artifact import METADATA_KEY
from tinydet.edge.runtimes.openvino import WEIGHTS_KEY

BOMB_BYTES = 256 << 20
BROKEN_TEXTS = {
    "empty": "",
    "truncated": '{"schema_version": 1, ',
    "another shape": "[1]",
    "deep nesting": "[" * 100_000,
}


def model_variants(path: Path, good: Good) -> Iterator[Variant]:
    """Of a checkpoint or an artifact of any runtime."""
    yield from {"safetensors": _safetensors, "onnx": _onnx, "tflite": _tflite, "ir": _ir}[good.kind](path, good)


def _metadata_variants(document: Any, good: Good, embed: Callable[[str], bytes]) -> Iterator[Variant]:
    for kind, name, changed, must_refuse in changed_documents(document, good):
        yield of_bytes(kind, f"metadata {name}", partial(_embedded, embed, changed), must_refuse=must_refuse)
    for kind, text in BROKEN_TEXTS.items():
        yield of_bytes(kind, "metadata", partial(embed, text))


def _embedded(embed: Callable[[str], bytes], document: Any) -> bytes:
    return embed(json_text(document))


def _safetensors(path: Path, good: Good) -> Iterator[Variant]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors = json.loads(content[8 : 8 + length]), content[8 + length :]

    def with_header(changed: Any, data: bytes = tensors) -> bytes:
        text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        return struct.pack("<Q", len(text)) + text + data

    metadata = header["__metadata__"]
    embed = lambda text: with_header(header | {"__metadata__": metadata | {METADATA_KEY: text}})  # noqa: E731
    yield from _metadata_variants(json.loads(metadata[METADATA_KEY]), good, embed)
    names = [name for name in header if name != "__metadata__"]
    floats = [name for name in names if header[name]["dtype"] == "F32"]
    first = floats[0]
    for number in (2**40, 2**63, 1, 0):
        yield of_bytes("header", f"length {number}", struct.pack("<Q", number) + content[8:])
    for kind, text in {
        "deep nesting": b"[" * 100_000,
        "another shape": b"[]",
        "5000 digits": b'{"a": ' + b"1" * 5000 + b"}",
    }.items():
        yield of_bytes(kind, "header", with_header(text, b""))
    for dtype in ("F64", "I32", "BOOL", "F8_E4M3", "U64", "C64", "BF16", "NONSENSE"):
        yield of_bytes("wrong dtype", dtype, with_header(header | {first: header[first] | {"dtype": dtype}}))
    same_size = next(name for name in floats if np.prod(header[name]["shape"], dtype=int) % 2 == 0)
    entry = header[same_size]
    doubled = entry | {"dtype": "F16", "shape": [2, *entry["shape"]]}
    halves = entry | {"dtype": "F64", "shape": [int(np.prod(entry["shape"], dtype=int)) // 2]}
    for name, other in {"F16 of twice as many": doubled, "F64 of half as many": halves}.items():
        yield of_bytes("wrong dtype", name, with_header(header | {same_size: other}))
    begin, end = header[first]["data_offsets"]
    for kind, value in {"NaN": np.nan, "infinity": np.inf}.items():
        data = bytearray(tensors)
        data[begin : begin + 4] = np.float32(value).tobytes()
        yield of_bytes(kind, "a weight", with_header(header, bytes(data)))
    yield of_bytes(
        "NaN", "all weights of a tensor", with_header(header, tensors[:begin] + b"\xff" * (end - begin) + tensors[end:])
    )
    yield of_bytes(
        "missing key",
        "a tensor",
        with_header(
            {name: value for name, value in header.items() if name != names[-1]},
            tensors[: min(header[names[-1]]["data_offsets"][0], len(tensors))],
        ),
    )
    yield of_bytes("missing key", "all metadata", with_header({name: header[name] for name in names}))


def _onnx(path: Path, good: Good) -> Iterator[Variant]:
    model = onnx.load(path)
    (text,) = [prop.value for prop in model.metadata_props if prop.key == METADATA_KEY]

    def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        change(copied)
        return bytes(copied.SerializeToString())

    def embed(metadata: str) -> bytes:
        # Put in as bytes: protobuf's Python refuses texts that are no UTF-8.
        marked = changed(lambda copied: onnx.helper.set_model_props(copied, {METADATA_KEY: "@"}))
        data = metadata.encode("utf-8", "surrogatepass")
        key, old = METADATA_KEY.encode(), b"@"
        entry = _field(1, key) + _field(2, old)
        return marked.replace(_field(14, entry), _field(14, _field(1, key) + _field(2, data)))

    yield from _metadata_variants(json.loads(text), good, embed)
    yield of_bytes("not UTF-8", "metadata", embed('{"\ud800": 1}'))
    yield of_bytes("missing key", "all metadata", changed(lambda copied: copied.ClearField("metadata_props")))
    for kind, number in {"NaN": np.nan, "infinity": np.inf}.items():

        def spoil(copied: onnx.ModelProto, number: float = number) -> None:
            weight = next(one for one in copied.graph.initializer if one.data_type == onnx.TensorProto.FLOAT)
            values = numpy_helper.to_array(weight).copy()
            values.flat[0] = number
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))

        yield of_bytes(kind, "a weight", changed(spoil))
    yield of_bytes("missing key", "an output", changed(lambda copied: copied.graph.output.pop()))
    yield of_bytes("missing key", "a node", changed(lambda copied: copied.graph.node.pop(0)))


def _tflite(path: Path, good: Good) -> Iterator[Variant]:
    content = path.read_bytes()
    entry = f"{METADATA_KEY}.json"
    with zipfile.ZipFile(path) as archive:
        model, text = content[: archive.getinfo(entry).header_offset], archive.read(entry).decode()

    def zipped(data: bytes, *, method: int = zipfile.ZIP_STORED, times: int = 1) -> bytes:
        stream = io.BytesIO(model)
        with zipfile.ZipFile(stream, "a", method) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the name that is there already
            for _ in range(times):
                archive.writestr(entry, data)
        return stream.getvalue()

    def patched(data: bytes, flags: int, method: int) -> bytes:
        """The general purpose bits and the method, in the entry's header and in the directory."""
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.rindex(mark) + offset
            data = data[:place] + struct.pack("<HH", flags, method) + data[place + 4 :]
        return data

    yield from _metadata_variants(json.loads(text), good, lambda text: zipped(text.encode("utf-8", "surrogatepass")))
    plain = zipped(text.encode())
    yield of_bytes("ZIP", "encrypted", patched(plain, 1, 0))
    for method in (1, 9, 12, 14, 93, 98, 255):
        yield of_bytes("ZIP", f"method {method}", patched(plain, 0, method))
    yield of_bytes("ZIP", "deflate that is none", patched(plain, 0, 8))
    yield of_bytes("ZIP", "the entry twice", zipped(text.encode(), times=2), must_refuse=False)
    yield of_bytes("not UTF-8", "metadata", zipped(b'{"\xff": 1}'))
    yield of_bytes("missing key", "all metadata", model)
    yield of_bytes("bomb", "metadata of 256 MiB", zipped(bytes(BOMB_BYTES), method=zipfile.ZIP_DEFLATED))


def _ir(path: Path, good: Good) -> Iterator[Variant]:
    text = path.read_text(encoding="utf-8")
    opening = f'<{METADATA_KEY} value="'
    start = text.rindex(opening) + len(opening)
    end = text.index('"', start)

    def embed(metadata: str) -> bytes:
        quoted = metadata.translate({ord(character): f"&#{ord(character)};" for character in '&<>"\n\r\t'})
        return (text[:start] + quoted + text[end:]).encode("utf-8", "surrogatepass")

    escapes = {"&quot;": '"', "&lt;": "<", "&gt;": ">", "&apos;": "'", "&amp;": "&"}
    document = text[start:end]
    for escape, character in escapes.items():
        document = document.replace(escape, character)
    yield from _metadata_variants(json.loads(document), good, embed)
    yield of_bytes(
        "missing key", "all metadata", (text[: start - len(opening)] + text[text.index("/>", end) + 2 :]).encode()
    )
    yield of_bytes("missing key", "the sum of the weights", text.replace(WEIGHTS_KEY, "other").encode())
    yield of_bytes(
        "deep nesting",
        "100 000 elements",
        text.replace("</net>", "<a>" * 100_000 + "</a>" * 100_000 + "</net>").encode(),
    )
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    yield of_bytes(
        "bomb",
        "entities",
        text.replace("<net", f'<!DOCTYPE net [<!ENTITY e0 "lol">{bomb}]><net', 1).encode(),
        must_refuse=False,
    )


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    length, size = len(data), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data

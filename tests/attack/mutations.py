"""Bad variants of a good file, by kind of file: the generator that every reader and command is attacked with."""

from __future__ import annotations

import os
import random
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.attack.documents import document_variants
from tests.attack.model_files import model_variants
from tests.attack.variant import Good, Variant, of_bytes

SPARSE_BYTES = 8 << 30
DIGITS = "1" * 5000
MODELS = ("safetensors", "onnx", "tflite", "ir")
DOCUMENTS = ("json", "toml", "yaml")


def variants(path: Path, good: Good) -> Iterator[Variant]:
    """Every bad variant of the good file at `path`, always the same ones."""
    content = path.read_bytes()
    yield from _not_regular(good)
    yield from _damaged(content, good)
    if good.kind in DOCUMENTS:
        yield from document_variants(content, good)
    elif good.kind in MODELS:
        yield from model_variants(path, good)
    elif good.kind == "text":
        yield from _text(content, good)
    elif good.kind == "xml":
        yield from _xml(content)
    elif good.kind == "image":
        yield from _image()


def _not_regular(good: Good) -> Iterator[Variant]:
    def listen(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            here = Path.cwd()
            os.chdir(path.parent)  # the address of a socket has at most 108 bytes
            server.bind(path.name)
            os.chdir(here)

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(SPARSE_BYTES)

    yield Variant(kind="not a file", name="missing", write=lambda path: None, must_refuse=not good.may_be_missing)
    yield Variant(kind="not a file", name="folder", write=lambda path: path.mkdir())
    yield Variant(kind="not a file", name="named pipe", write=os.mkfifo)
    yield Variant(kind="not a file", name="socket", write=listen)
    yield Variant(kind="not a file", name="link to itself", write=lambda path: path.symlink_to(path.name))
    yield Variant(kind="not a file", name="link to nothing", write=lambda path: path.symlink_to("nowhere"))
    yield Variant(kind="not a file", name="endless device", write=lambda path: path.symlink_to("/dev/zero"))
    yield Variant(kind="not a file", name="empty device", write=lambda path: path.symlink_to("/dev/null"))
    yield Variant(kind="too large", name="8 GiB of holes", write=sparse)


def _damaged(content: bytes, good: Good) -> Iterator[Variant]:
    is_text = good.kind in (*DOCUMENTS, "text", "xml")
    size = len(content)
    noise = random.Random(0)
    yield of_bytes("empty", "0 bytes", b"", must_refuse=good.kind not in ("text", "toml"))
    for percent in (10, 50, 90):
        cut = content[: size * percent // 100]
        yield of_bytes(
            "truncated", f"{percent} % of it", cut, must_refuse=good.kind not in ("text", "toml", "yaml", "video")
        )
    yield of_bytes("zero-filled", "all of it", bytes(size))
    third = content[: size // 3] + bytes(size - size // 3)
    yield of_bytes("zero-filled", "from a third on", third, must_refuse=good.kind != "video")
    yield of_bytes("another kind", "random bytes", noise.randbytes(4096))
    yield of_bytes("another kind", "ELF header", b"\x7fELF\x02\x01\x01" + bytes(505))
    if is_text:
        yield of_bytes("not UTF-8", "Latin-1 in the middle", content[: size // 2] + b"\xe9\xff" + content[size // 2 :])
        yield of_bytes("NUL bytes", "in the middle", content[: size // 2] + b"\0" + content[size // 2 :])
        yield of_bytes("byte-order mark", "UTF-8", b"\xef\xbb\xbf" + content, must_refuse=False)
        utf16 = content.decode().encode("utf-16")
        yield of_bytes("byte-order mark", "UTF-16", utf16, must_refuse=False)
        yield of_bytes("line ends", "CRLF", content.replace(b"\n", b"\r\n"), must_refuse=False)
    else:
        # Flipped bits of a picture or a video are another picture; those of a model are found by its hash.
        for place in sorted(noise.randrange(size) for _ in range(8)):
            flipped = bytearray(content)
            flipped[place] ^= 1 << noise.randrange(8)
            yield of_bytes("bit flip", f"byte {place}", bytes(flipped), must_refuse=good.kind in (*MODELS, "bin"))


def _text(content: bytes, good: Good) -> Iterator[Variant]:
    """Label files and lists: each token of the first line replaced, and lines that are none."""
    lines = content.decode().splitlines()
    separator = "," if "," in lines[0] else " "
    tokens = lines[0].split(separator)
    for index, token in enumerate(tokens):
        free = str(index) in good.free or not token
        for name, bad in {
            "NaN": "nan", "infinity": "inf", "huge number": "1e999", "5000 digits": DIGITS, "wrong type": "abc",
            "foreign digits": "٣", "superscript": "²", "underscore": "1_0", "negative": "-7",
        }.items():  # fmt: skip
            line = separator.join([*tokens[:index], bad, *tokens[index + 1 :]])
            changed = "\n".join([line, *lines[1:]]) + "\n"
            yield of_bytes(name, f"token {index}", changed.encode(), must_refuse=not free and name != "negative")
    yield of_bytes(
        "missing key",
        "the last token",
        (separator.join(tokens[:-1]) + "\n").encode(),
        must_refuse="last" not in good.free,
    )
    yield of_bytes("long line", "4 MiB", ("1 " * (2 << 20) + "\n").encode())


def _xml(content: bytes) -> Iterator[Variant]:
    text = content.decode()
    body = text.partition("?>")[2] if text.startswith("<?xml") else text
    root = body.strip().strip("<").partition(">")[0].split()[0]
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    entities = f'<!DOCTYPE {root} [<!ENTITY e0 "lol">{bomb}]>'
    yield of_bytes("bomb", "entities in each other", (entities + body.replace("</name>", "&e9;</name>")).encode())
    outside = f'<!DOCTYPE {root} [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    yield of_bytes("path", "external entity", (outside + body.replace("</name>", "&x;</name>")).encode())
    deep = "<a>" * 100_000 + "</a>" * 100_000
    yield of_bytes("deep nesting", "100 000 elements", body.replace(f"</{root}>", f"{deep}</{root}>").encode())
    for encoding in ("nonsense", "hex", "zlib", "undefined"):
        named = f'<?xml version="1.0" encoding="{encoding}"?>{body}'
        yield of_bytes("unknown encoding", encoding, named.encode())
    for encoding in ("utf8", "gb2312", "latin-1", "utf-16"):
        named = f'<?xml version="1.0" encoding="{encoding}"?>{body}'
        yield of_bytes("encoding", encoding, named.encode(encoding), must_refuse=False)
    for name, bad in {
        "NaN": "nan",
        "infinity": "inf",
        "huge number": "1e999",
        "5000 digits": DIGITS,
        "wrong type": "x",
    }.items():
        for tag in ("xmin", "ymax"):
            before, opening, rest = body.partition(f"<{tag}>")
            if opening:
                changed = before + opening + bad + rest[rest.index("<") :]
                yield of_bytes(name, tag, changed.encode())
    for tag in ("name", "bndbox", "xmin"):
        yield of_bytes(
            "missing key", tag, body.replace(f"<{tag}>", f"<x{tag}>").replace(f"</{tag}>", f"</x{tag}>").encode()
        )


def _image() -> Iterator[Variant]:
    def png(width: int, height: int, data: bytes, depth: int = 8) -> bytes:
        def chunk(name: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

        header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")

    yield of_bytes("bomb", "PNG of 2^31 x 2^31", png(2**31 - 1, 2**31 - 1, b""))
    yield of_bytes("bomb", "PNG of 60000 x 60000", png(60_000, 60_000, bytes(1 << 20)))
    yield of_bytes("zero size", "PNG of 0 x 0", png(0, 0, b""))
    yield of_bytes("truncated", "PNG whose data end early", png(64, 64, bytes(64 * 193 // 2)))

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import image_size
from tinydet.edge.files.images import read_image, write_image

LOSSLESS = [".png", ".bmp", ".tif", ".ppm"]
LOSSY = [".jpg", ".webp"]


def picture(height: int = 60, width: int = 80) -> npt.NDArray[np.uint8]:
    """Smooth, with three channels that differ."""
    y, x = np.mgrid[:height, :width]
    return np.asarray(np.stack([x * 3, y * 4, 255 - x], axis=2), np.uint8)


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write_image(path, picture())
    difference = np.abs(read_image(path).astype(int) - picture())
    assert difference.mean() < (4 if suffix in LOSSY else 1e-9)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, axis=2))


def test_alpha_is_left_out(tmp_path: Path) -> None:
    bgra = np.dstack([picture()[..., ::-1], np.full((60, 80), 7, np.uint8)])
    cv2.imwrite(str(tmp_path / "alpha.png"), bgra)
    assert np.array_equal(read_image(tmp_path / "alpha.png"), picture())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_stretched(tmp_path: Path, suffix: str) -> None:
    """A thermal camera: everything between 29000 and 31000 of 65536 levels."""
    levels = np.linspace(29000, 31000, 4000).round().astype(np.uint16).reshape(50, 80)
    cv2.imwrite(str(tmp_path / f"thermal{suffix}"), levels)
    seen = read_image(tmp_path / f"thermal{suffix}")
    assert seen.shape == (50, 80, 3)
    assert (int(seen.min()), int(seen.max())) == (0, 255)
    expected = np.clip((levels.astype(float) - 29002) / 1996, 0, 1) * 255
    assert np.abs(seen[..., 0] - expected).max() <= 1
    assert np.array_equal(seen[..., 0], seen[..., 2]), "grey becomes three equal channels"


def test_a_flat_image_of_sixteen_bits_is_flat(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((8, 8), 30000, np.uint16))
    assert len(np.unique(read_image(tmp_path / "flat.png"))) == 1


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    write_image(path, picture())
    # APP1 with an Exif block of one entry: tag 0x0112 (orientation), short, 6 = rotate by 90 degrees clockwise.
    entry = bytes.fromhex("0112 0003 00000001 0006 0000")
    exif = b"Exif\0\0" + b"MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + content[2:])
    assert read_image(path).shape == (80, 60, 3)


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"cut{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    write_image(path, noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=f"cannot read image .*cut{suffix}"):
        read_image(path)


def test_a_thumbnail_end_mark_does_not_hide_a_truncated_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    write_image(path, picture())
    thumbnail = b"\xff\xd8 pixels \xff\xd9"
    content = path.read_bytes()
    with_thumbnail = content[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + content[2:]
    path.write_bytes(with_thumbnail + b"data that a camera appended")
    assert read_image(path).shape == (60, 80, 3)
    path.write_bytes(with_thumbnail[:-200])
    with pytest.raises(InputError, match="cut short"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "does not exist"), (b"", "empty"), (b"no image", "not an image")]
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "picture.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(path)


def test_an_unknown_format_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a suffix among \.bmp"):
        write_image(tmp_path / "picture.xyz", picture())
    assert list(tmp_path.iterdir()) == []


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(samples: npt.NDArray[np.generic], *, white_is_zero: bool = False, kind: int = 1) -> bytes:
    """Uncompressed, (H, W, bands); kind: 1 unsigned, 2 signed, 3 float."""
    height, width, bands = samples.shape
    data = samples.tobytes()
    tags = [
        (256, width), (257, height), (258, samples.itemsize * 8), (259, 1), (262, 0 if white_is_zero else 1), (273, 8),
        (277, bands), (278, height), (279, len(data)), (339, kind),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("quality", [50, 95])
@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_with_a_filled_end_is_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], quality: int, fill: bytes, progressive: int
) -> None:
    """As cards and recovery tools leave it: it decodes, and only libjpeg says so, on stderr."""
    path = tmp_path / "filled.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    _, encoded = cv2.imencode(".jpg", noise, options)
    content = encoded.tobytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + fill * (len(content) - third - 2) + b"\xff\xd9")
    with pytest.raises(InputError, match=r"cannot read image .*filled\.jpg: (damaged|the file is cut|not an image)"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_bytes_after_the_scan_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "padded.jpg"
    write_image(path, picture())
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes(40) + content[-2:])
    assert read_image(path).shape == (60, 80, 3)


@pytest.mark.parametrize("suffix", [".png", ".ppm"])
def test_messages_of_libraries_are_dropped(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str) -> None:
    """libpng and OpenCV write lines without a file name; the error has it."""
    path = tmp_path / f"damaged{suffix}"
    write_image(path, np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8))
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(99) + content[half + 99 :] if suffix == ".png" else content[:half])
    with pytest.raises(InputError, match=f"damaged{suffix}: not an image, or damaged"):
        read_image(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("zeros", [100, 512, 4096])
def test_a_block_of_zeros_within_a_jpeg_is_refused(tmp_path: Path, zeros: int) -> None:
    """A lost sector of a card; libjpeg decodes most of them without a message."""
    path = tmp_path / "lost.jpg"
    write_image(path, np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8))
    content = path.read_bytes()
    assert read_image(path).shape == (200, 200, 3)
    path.write_bytes(content[:9000] + bytes(zeros) + content[9000 + zeros :])
    with pytest.raises(InputError, match=r"lost\.jpg: damaged \(a part is filled with zeros\)"):
        read_image(path)


def test_zeros_may_be_a_flat_area(tmp_path: Path) -> None:
    """With tables made for the picture, the shortest codes, which are zeros, stand for "as before"."""
    path = tmp_path / "night.jpg"
    cv2.imwrite(str(path), np.zeros((400, 600, 3), np.uint8), [cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    assert bytes(500) in path.read_bytes()
    assert not read_image(path).any()


def test_many_threads_find_the_damaged_ones(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "good.jpg"
    write_image(path, np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8))
    content = path.read_bytes()
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(content[: len(content) // 3] + b"\xff\xd9")

    def is_refused(path: Path) -> bool:
        try:
            return read_image(path) is None
        except InputError as error:
            return "damaged.jpg: damaged (Corrupt JPEG data: premature end" in str(error)

    jobs = [damaged if index % 4 == 0 else path for index in range(48)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(is_refused, jobs)) == [job == damaged for job in jobs]
    assert capfd.readouterr().err == ""


def test_lines_of_other_threads_still_reach_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "picture.jpg"
    write_image(path, picture(2000, 3000))
    reading = threading.Thread(target=lambda: [read_image(path) for _ in range(5)])
    reading.start()
    count = 0
    while reading.is_alive():
        os.write(2, b"a line\n")
        count += 1
        time.sleep(0.001)
    assert capfd.readouterr().err == "a line\n" * count


def test_a_closed_stderr_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    write_image(path, picture())
    code = f"from tinydet import read_image; read_image({str(path)!r})"
    run = subprocess.run(["sh", "-c", f'exec {sys.executable} -c "{code}" 2>&-'], check=False)
    assert run.returncode == 0


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "loop", "8 GiB"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "socket":
            server.bind(str(path))
        elif kind == "loop":
            path.symlink_to(path)
        else:
            with path.open("wb") as file:
                file.truncate(8 << 30)
        for read in (read_image, image_size):
            with pytest.raises(InputError, match=r"image .*a\.jpg"):
                read(path)


@pytest.mark.parametrize("side", [16385, 60_000, 2**31 - 1])
def test_declared_pixels_are_bounded_before_decoding(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(png)
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=f"bomb.png: it declares {side}x{side} pixels, expected at most 256"):
            read(tmp_path / "bomb.png")


def test_sixteen_bits_with_white_at_zero_are_no_negative(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 4000).astype(np.uint16).reshape(50, 80, 1)
    path = tmp_path / "scan.tif"
    path.write_bytes(tiff(levels))
    upright = read_image(path)
    path.write_bytes(tiff(~levels, white_is_zero=True))
    assert np.abs(read_image(path).astype(int) - upright).max() <= 1


@pytest.mark.parametrize(
    ("samples", "kind", "message"),
    [
        (np.zeros((8, 8, 1), np.float32), 3, r"got 1 band of 32 bits \(float\)"),
        (np.zeros((8, 8, 5), np.uint8), 1, "got 5 bands of 8 bits"),
        (np.zeros((8, 8, 1), np.int16), 2, r"got 1 band of 16 bits \(signed\)"),
    ],
)
def test_unsupported_samples_are_named(
    tmp_path: Path, samples: npt.NDArray[np.generic], kind: int, message: str
) -> None:
    path = tmp_path / "bands.tif"
    path.write_bytes(tiff(samples, kind=kind))
    with pytest.raises(InputError, match=message):
        read_image(path)


def test_the_size_is_that_of_the_upright_png(tmp_path: Path) -> None:
    path = tmp_path / "turned.png"
    write_image(path, picture())
    assert image_size(path) == (80, 60)
    exif = b"MM\0*\0\0\0\x08\0\x01" + bytes.fromhex("0112 0003 00000001 0006 0000") + b"\0\0\0\0"
    content = path.read_bytes()
    path.write_bytes(content[:33] + chunk(b"eXIf", exif) + content[33:])
    assert read_image(path).shape == (80, 60, 3)
    assert image_size(path) == (60, 80)


def test_webp_is_upright(tmp_path: Path) -> None:
    stored = picture()
    upright = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.transpose(1, 0, 2), 6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).transpose(1, 0, 2), 8: np.rot90(stored),
    }  # fmt: skip
    _, encoded = cv2.imencode(".webp", stored[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])
    image = encoded.tobytes()[12:]
    path = tmp_path / "turned.webp"
    for orientation, expected in upright.items():
        exif = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"
        extended = b"VP8X" + struct.pack("<II", 10, 8) + struct.pack("<I", 79)[:3] + struct.pack("<I", 59)[:3]
        body = b"WEBP" + extended + image + b"EXIF" + struct.pack("<I", len(exif)) + exif
        path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
        assert np.array_equal(read_image(path), expected), orientation
        assert image_size(path) == expected.shape[1::-1]


def test_zeros_are_no_chunks(tmp_path: Path) -> None:
    path = tmp_path / "filled.png"
    write_image(path, picture())
    path.write_bytes(path.read_bytes()[:40] + bytes(60 << 20))
    start_s = time.monotonic()
    assert image_size(path) == (80, 60)
    with pytest.raises(InputError, match="cut short"):
        read_image(path)
    assert time.monotonic() - start_s < 2

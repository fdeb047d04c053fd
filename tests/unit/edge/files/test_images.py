from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.errors import InputError
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
    ("content", "message"), [(None, "No such file"), (b"", "empty"), (b"no image", "not an image")]
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

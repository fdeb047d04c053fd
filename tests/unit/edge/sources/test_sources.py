from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image
from tinydet.edge.sources.opening import open_source


def write_clip(path: Path, frames: int = 10) -> Path:
    """Frames of 64x48, frame i has grey level 20 x i."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    writer.release()
    return path


def test_an_image(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((48, 64, 3), 7, np.uint8))
    source = open_source(tmp_path / "a.png")
    (frame,) = source
    assert (source.frame_count, source.frames_per_s) == (1, None)
    assert (frame.index, frame.name, frame.time_s, frame.image_rgb.shape) == (0, "a.png", None, (48, 64, 3))


def test_a_folder_in_the_order_of_names_without_other_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.bmp"):
        write_image(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(tmp_path)
    assert [frame.name for frame in source] == ["a.JPG", "b.png", "c.bmp"]
    assert [frame.index for frame in source] == [0, 1, 2], "and once more"


def test_an_unreadable_image_of_a_folder_is_told_and_left_out(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        write_image(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"no image")
    errors: list[InputError] = []
    assert [frame.index for frame in open_source(tmp_path, on_unreadable=errors.append)] == [0, 2]
    assert len(errors) == 1
    assert "b.png" in str(errors[0])
    with pytest.raises(InputError, match=r"b\.png"):
        list(open_source(tmp_path))


def test_a_video(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "clip.mp4"))
    frames = list(source)
    assert (source.frame_count, source.frames_per_s) == (10, 10)
    assert [frame.name for frame in frames][:2] == ["clip-000000", "clip-000001"]
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(10) / 10)
    assert frames[9].image_rgb.mean() == pytest.approx(180, abs=5)


@pytest.mark.parametrize("content", [b"", b"no video at all", None])
def test_a_broken_video_is_one_line(tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(InputError, match=r"cannot read video .*clip\.mp4"):
        list(open_source(path))
    assert capfd.readouterr() == ("", "")


def test_a_frame_that_is_damaged_in_the_middle_of_a_video_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (320, 240))
    coarse = np.random.default_rng(0).integers(0, 256, (15, 20, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (320, 240))
    for index in range(30):
        writer.write(np.roll(picture, 10 * index, axis=1))
    writer.release()
    content = bytearray(path.read_bytes())
    middle, reach = len(content) // 2, len(content) // 15
    content[middle - reach : middle + reach] = bytes(2 * reach)
    path.write_bytes(content)
    indices = [frame.index for frame in open_source(path)]
    lost = 30 - len(indices)
    assert 1 <= lost <= 2, "as few as containers miscount by themselves"
    assert indices[-1] == 29, "those after it keep their number"
    assert f"damaged or cut short, {30 - lost} of 30 frames read" in caplog.text


def test_a_video_that_ends_early_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for _ in range(20):
        writer.write(np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8))
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert 0 < len(list(open_source(path))) < 15
    assert "of 20 frames read" in caplog.text


@pytest.mark.parametrize(("suffix", "codec", "least"), [("avi", "MJPG", 34), ("mp4", "mp4v", 25)])
def test_damage_in_the_middle_of_a_video_costs_the_damaged_frames(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, codec: str, least: int
) -> None:
    path = tmp_path / f"clip.{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10.0, (64, 48))
    random = np.random.default_rng(0)
    for _ in range(40):
        writer.write(random.integers(0, 256, (48, 64, 3)).astype(np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 9000] = np.random.default_rng(1).bytes(9000)
    path.write_bytes(content)
    frames = list(open_source(path))
    assert least <= len(frames) < 38
    assert frames[-1].index >= len(frames), "frames that could not be read count"
    assert "of 40 frames read" in caplog.text


def test_files_that_begin_with_a_dot_are_skipped(tmp_path: Path) -> None:
    """macOS leaves `._a.png` beside `a.png` on exFAT cards and in zip files."""
    write_image(tmp_path / "a.png", np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "._a.png").write_bytes(b"Mac OS X")
    assert [frame.name for frame in open_source(tmp_path)] == ["a.png"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match="holds no image"):
        open_source(tmp_path)


def test_a_path_that_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="does not exist: expected an image, a folder of images or a video"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"cannot read video .*notes\.txt: not a video, but text"):
        open_source(tmp_path / "notes.txt")

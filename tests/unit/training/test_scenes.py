"""The scene renderer: the same bytes for the same seed, exact boxes, realistic sizes, stable identities."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files import writing
from tinydet.training.data.scenes import (
    SCENE_CLASSES,
    ClipFrame,
    Scene,
    render_clip,
    render_scene,
    write_clip,
    write_dataset,
)
from tinydet.training.data.scenes.actors import boxes
from tinydet.training.data.scenes.plan import make_plan
from tinydet.training.data.scenes.scene import compose, silhouettes_in
from tinydet.training.data.scenes.still_layers import draw_still_layers

SIZE_HW = (320, 448)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, SIZE_HW) for seed in range(14)]


def test_same_seed_gives_the_same_bytes() -> None:
    first, second = render_scene(7, SIZE_HW), render_scene(7, SIZE_HW)
    np.testing.assert_array_equal(first.image_rgb, second.image_rgb)
    np.testing.assert_array_equal(first.boxes_xyxy_px, second.boxes_xyxy_px)
    np.testing.assert_array_equal(first.class_ids, second.class_ids)


def test_every_seed_is_another_picture(scenes: list[Scene]) -> None:
    assert len({scene.image_rgb.tobytes() for scene in scenes}) == len(scenes)


def test_shapes_and_types(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image_rgb.shape == (*SIZE_HW, 3)
        assert scene.image_rgb.dtype == np.uint8
        assert scene.boxes_xyxy_px.shape == (len(scene.class_ids), 4)
        assert scene.boxes_xyxy_px.dtype == np.float32
        assert scene.class_ids.dtype == np.int64


def test_boxes_lie_inside_the_picture_and_have_size(scenes: list[Scene]) -> None:
    for scene in scenes:
        low, high = scene.boxes_xyxy_px[:, :2], scene.boxes_xyxy_px[:, 2:]
        assert (low >= 0).all()
        assert (high <= (SIZE_HW[1], SIZE_HW[0])).all()
        assert ((high - low) >= 1.5).all()


@pytest.mark.parametrize("seed", [1, 8, 23])
def test_boxes_are_tight(seed: int) -> None:
    """Leaving one object's body out changes pixels inside its box only, and up to its edges."""
    plan = make_plan(seed, SIZE_HW)
    to_px = plan.to_px(SIZE_HW)
    layers = draw_still_layers(plan, SIZE_HW, to_px)
    shapes = silhouettes_in(plan.site.actors, 0.0, to_px, plan.weather, SIZE_HW)
    kept, boxes_px = boxes(shapes, layers.cover)
    everything = compose(layers, shapes, plan.weather, plan.gsd_m)
    checked = 0
    for shape, box in list(zip(kept, boxes_px, strict=True))[::4]:
        others = [other for other in shapes if other is not shape]
        without = compose(layers, shapes, plan.weather, plan.gsd_m, bodies=others)
        difference = np.abs(everything - without).max(axis=2)
        # A mirror or a sliver of a pixel may stick out, but nothing that shows; inwards, dark paint on dark asphalt
        # or a thin crown may hide an edge.
        outwards = np.maximum((box - _bounds(difference > 0.3 * difference.max())) * (1, 1, -1, -1), 0)
        inwards = np.maximum((_bounds(difference > 0.012) - box) * (1, 1, -1, -1), 0)
        assert outwards.max() <= 1.1
        assert np.median(inwards) <= 1.0
        assert inwards.max() <= 2.5
        checked += 1
    assert checked >= 4


def test_class_mix_and_sizes(scenes: list[Scene]) -> None:
    counts = np.array([len(scene.class_ids) for scene in scenes])
    assert 15 <= np.median(counts) <= 120
    class_ids = np.concatenate([scene.class_ids for scene in scenes])
    share = np.bincount(class_ids, minlength=len(SCENE_CLASSES)) / len(class_ids)
    assert 0.45 <= share[0] <= 0.95
    assert 0.01 <= share[1] <= 0.30
    assert 0.02 <= share[2] <= 0.45
    sizes_px = np.concatenate([_sizes_px(scene.boxes_xyxy_px) for scene in scenes])
    small, large, person = (float(np.median(sizes_px[class_ids == class_id])) for class_id in range(3))
    assert 8 <= small <= 18
    assert 1.25 * small <= large <= 50
    assert 2.5 <= person <= 6


def test_pictures_have_the_tones_of_photographs(scenes: list[Scene]) -> None:
    """Neither flat nor garish: medians within what real drone photographs show."""
    grey = [cv2.cvtColor(scene.image_rgb, cv2.COLOR_RGB2GRAY) for scene in scenes]
    saturation = [cv2.cvtColor(scene.image_rgb, cv2.COLOR_RGB2HSV)[..., 1].mean() for scene in scenes]
    assert 85 <= np.median([picture.mean() for picture in grey]) <= 145
    assert 22 <= np.median([picture.std() for picture in grey]) <= 55
    assert 12 <= np.median(saturation) <= 60


def test_the_smallest_pictures_can_be_rendered() -> None:
    for seed in range(12):
        make_plan(seed, (64, 64))
    assert render_scene(5, (64, 64)).image_rgb.shape == (64, 64, 3)


def test_a_clip_keeps_identities_and_moves_smoothly() -> None:
    fps = 5.0
    frames = list(render_clip(3, frames=6, fps=fps, size_hw=(256, 320)))
    assert [frame.index for frame in frames] == list(range(6))
    shared = travelled = 0
    for before, after in pairwise(frames):
        assert len(set(after.identities.tolist())) == len(after.identities)
        assert not np.array_equal(before.image_rgb, after.image_rgb)
        old, new = _by_identity(before), _by_identity(after)
        common = old.keys() & new.keys()
        assert len(common) >= 0.7 * len(old)
        for identity in common:
            (old_class, old_box), (new_class, new_box) = old[identity], new[identity]
            assert old_class == new_class
            # 33 m/s, drawn at no more than 7 px/m, and the camera's own drift.
            centre_px = np.abs((new_box[:2] + new_box[2:] - old_box[:2] - old_box[2:]) / 2).max()
            assert centre_px <= 33 * 7 / fps + 5
            travelled += centre_px > 3
        shared += len(common)
    assert shared > 0
    assert travelled > 0, "nothing moves"


def test_the_same_seed_gives_the_same_clip() -> None:
    first = next(render_clip(4, frames=2, fps=10, size_hw=(128, 160)))
    again = next(render_clip(4, frames=2, fps=10, size_hw=(128, 160)))
    np.testing.assert_array_equal(first.image_rgb, again.image_rgb)
    np.testing.assert_array_equal(first.identities, again.identities)


def test_a_written_data_set_reads_back(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "scenes", images=3, seed=0, size_hw=(160, 192), split="train")
    dataset = read_dataset(folder, split="train")
    assert dataset.class_names == SCENE_CLASSES
    assert dataset.notes == ()
    assert dataset.object_count > 0
    assert [(record.height, record.width) for record in dataset.images] == [(160, 192)] * 3
    assert len({record.sequence for record in dataset.images}) == 3
    for record in dataset.images:
        picture = cv2.imread(str(record.path))
        assert picture.shape == (160, 192, 3)


def test_a_margin_widens_every_box_up_to_the_border(tmp_path: Path) -> None:
    for name, margin_px in (("exact", 0.0), ("wide", 1.5)):
        write_dataset(tmp_path / name, images=1, seed=5, size_hw=(256, 256), margin_px=margin_px)
    exact, wide = (read_dataset(tmp_path / name).images[0] for name in ("exact", "wide"))
    assert len(exact.boxes_xyxy_px)
    expected = np.clip(exact.boxes_xyxy_px + np.array([-1.5, -1.5, 1.5, 1.5]), 0, 256)
    np.testing.assert_allclose(wide.boxes_xyxy_px, expected, atol=0.03)  # written with two decimals
    assert exact.path.read_bytes() == wide.path.read_bytes()


def test_splits_share_no_scene(tmp_path: Path) -> None:
    pictures = set()
    for split in ("train", "val"):
        write_dataset(tmp_path, images=2, seed=0, size_hw=(64, 64), split=split)
        pictures |= {path.read_bytes() for path in (tmp_path / split).glob("*.jpg")}
    assert len(pictures) == 4


def test_a_written_clip_has_video_frames_and_tracks(tmp_path: Path) -> None:
    video_path = write_clip(tmp_path, frames=4, fps=10, seed=3, size_hw=(128, 160))
    video = cv2.VideoCapture(str(video_path))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 4
    dataset = read_dataset(tmp_path)
    assert {record.sequence for record in dataset.images} == {"clip"}
    annotations = json.loads((tmp_path / "annotations" / "val.json").read_text())["annotations"]
    assert annotations
    tracks_by_image: dict[int, list[int]] = {}
    for annotation in annotations:
        tracks_by_image.setdefault(annotation["image_id"], []).append(annotation["track_id"])
    assert all(len(set(tracks)) == len(tracks) for tracks in tracks_by_image.values())
    assert set(tracks_by_image[1]) & set(tracks_by_image[4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": 0}, "1 to 1000000 pictures"),
        ({"images": 10**20}, "1 to 1000000 pictures"),
        ({"seed": -1}, "seed"),
        ({"seed": 10**20}, "seed"),
        ({"size_hw": (16, 64)}, "64 to 4096"),
        ({"split": "../val"}, "split"),
        ({"split": "a\udcffb"}, "split"),
    ],
)
def test_wrong_numbers_are_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    arguments: dict[str, object] = {"images": 1, "seed": 0, "size_hw": (64, 64), "split": "val"} | change
    with pytest.raises(InputError, match=message):
        write_dataset(tmp_path / "out", **arguments)  # type: ignore[arg-type]  # wrong on purpose
    assert not (tmp_path / "out").exists()


def test_the_command_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "render", "--out", str(tmp_path), "--images", "1", "--size", "64"]) == 0
    assert len(read_dataset(tmp_path).images) == 1
    assert main(["data", "render", "--out", str(tmp_path), "--size", "5"]) == 2
    assert main(["data", "render", "--ou", str(tmp_path)]) == 2
    assert "did you mean --out" in capsys.readouterr().err
    assert main(["data", "rendr"]) == 2
    assert "render" in capsys.readouterr().err


def test_labels_of_an_interrupted_run_never_fit_the_pictures_of_another(tmp_path: Path) -> None:
    labels = tmp_path / "annotations" / "val.json"
    options = {"images": 3, "size_hw": (64, 64)}
    write_dataset(tmp_path, seed=0, **options)  # type: ignore[arg-type]  # options of two types
    before = labels.read_text()

    def interrupt(numbers: Sequence[int], *, after: int) -> Iterator[int]:
        yield from numbers[:after]
        raise KeyboardInterrupt

    for after in range(2):
        with pytest.raises(KeyboardInterrupt):
            write_dataset(tmp_path, seed=1, progress=partial(interrupt, after=after), **options)  # type: ignore[arg-type]
        assert labels.exists() == (after == 0)
    write_dataset(tmp_path, seed=0, **options)  # type: ignore[arg-type]
    assert labels.read_text() == before


def test_a_clip_on_a_full_disk_is_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV does not report a write that failed."""
    monkeypatch.setattr(writing, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(InputError, match=r"disk of .* is full \([0-9]+ MiB left\)"):
        write_clip(tmp_path, frames=2, fps=25, seed=0, size_hw=(64, 64))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def _bounds(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Left, top, right, bottom of the marked pixels."""
    rows, columns = np.nonzero(mask)
    assert len(rows), "nothing marked"
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def _sizes_px(boxes_xyxy_px: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Square root of the area."""
    sides = boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]
    return np.asarray(np.sqrt(sides[:, 0] * sides[:, 1]), np.float32)


def _by_identity(frame: ClipFrame) -> dict[int, tuple[int, npt.NDArray[np.float32]]]:
    rows = zip(frame.identities.tolist(), frame.class_ids.tolist(), frame.boxes_xyxy_px, strict=True)
    return {identity: (class_id, box) for identity, class_id, box in rows}

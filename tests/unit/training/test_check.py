"""`tinydet data check` and `convert`, on folders with known faults."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.edge.datasets.test_visdrone import write_visdrone
from tests.unit.edge.datasets.test_voc import write_voc
from tests.unit.edge.datasets.test_yolo import write_yolo
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import read_image, write_image
from tinydet.training.data.convert import convert


def write_coco_splits(root: Path, *, classes: dict[str, list[str]] | None = None) -> Path:
    """Eight different pictures a split, an object of 4, 10, 20 and 40 pixels in each."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(8):
            picture = np.repeat(np.repeat(rng.integers(0, 256, (10, 16, 3), dtype=np.uint8), 12, 0), 12, 1)
            write_image(root / split / f"{split}{index}.png", picture)
            images.append({"id": index, "file_name": f"{split}{index}.png", "width": 192, "height": 120})
            for side in (4, 10, 20, 40):
                annotations.append(
                    {"id": len(annotations), "image_id": index, "category_id": 0, "bbox": [50, 50, side, side]}
                )
        names = (classes or {}).get(split, ["car"])
        content = {
            "images": [image | {"sequence": f"{split}-flight"} for image in images],
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        }
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return root


def check(data: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["data", "check", str(data), "--picture", str(folder / "check.png"), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out), " ".join(out.err.split())


def test_a_data_set_without_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, content, text = check(write_coco_splits(tmp_path / "data"), tmp_path, capsys)
    assert (code, content["findings"]) == (0, [])
    assert content["splits"]["train"]["objects_by_band"] == {"APvt": 8, "APt": 8, "APs": 8, "APm": 8}
    assert content["splits"]["train"]["objects_by_class"] == {"car": 32}
    assert "train: COCO JSON, 8 images, 32 objects" in text and "no problems found" in text
    assert min(read_image(tmp_path / "check.png").shape[:2]) > 300


def test_faults_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_coco_splits(tmp_path / "data", classes={"train": ["car"], "val": ["vehicle"]})
    shutil.copy(data / "train" / "train0.png", data / "train" / "train1.png")  # the same file twice
    shutil.copy(data / "train" / "train2.png", data / "val" / "val2.png")  # the same file in both splits
    brighter = np.clip(read_image(data / "train" / "train3.png").astype(int) + 3, 0, 255).astype(np.uint8)
    write_image(data / "val" / "val3.png", brighter)  # other bytes, the same picture
    truncated = data / "val" / "val4.png"
    truncated.write_bytes(truncated.read_bytes()[:-30])
    write_image(data / "val" / "val5.png", np.zeros((60, 60, 3), np.uint8))  # not the size that the labels say
    path = data / "annotations" / "val.json"
    content = json.loads(path.read_text())
    content["images"][6]["sequence"] = "train-flight"
    path.write_text(json.dumps(content))

    code, report, _ = check(data, tmp_path, capsys)
    assert code == 1
    assert [(finding["kind"], finding["text"].rsplit("/", 1)[-1]) for finding in report["findings"]] == [
        ("broken", "val4.png: the file is cut short (copied only in part?)"),
        ("broken", "val5.png is 60x60, the data set says 192x120"),
        ("duplicate", "identical files: train0.png (train), train1.png (train)"),
        ("leak", "identical files: train2.png (train), val2.png (val)"),
        ("leak", "almost the same image: train3.png (train), val3.png (val)"),
        ("leak", "images of the sequence train-flight are in train and val"),
        ("classes", "class names differ between splits: train: 'car'; val: 'vehicle'"),
    ]


@pytest.mark.parametrize("kind", ["visdrone", "yolo"])
def test_convert_keeps_every_count_and_box(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    if kind == "visdrone":
        write_visdrone(source)
    else:
        write_yolo(source)
    out = tmp_path / "coco"
    assert main(["data", "convert", str(source), "--out", str(out)]) == 0
    assert f"next: tinydet data check {out}" in " ".join(capsys.readouterr().err.split())
    before, after = read_dataset(source), read_dataset(out)
    assert (before.class_names, len(before.images)) == (after.class_names, len(after.images))
    for old, new in zip(before.images, after.images, strict=True):
        np.testing.assert_allclose(new.boxes_xyxy_px, old.boxes_xyxy_px, rtol=1e-6)
        assert new.class_ids.tolist() == old.class_ids.tolist()
        assert new.is_crowd.tolist() == old.is_crowd.tolist()
        assert new.ignored_xyxy_px.tolist() == old.ignored_xyxy_px.tolist()
        assert (new.sequence, new.path.read_bytes()) == (old.sequence, old.path.read_bytes())
    assert main(["data", "convert", str(source), "--out", str(out)]) == 2
    assert "exists: choose another --out folder" in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco", "source"]


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path / "source"))
    dataset.images[1].path.unlink()
    with pytest.raises(InputError, match="does not exist"):
        convert({"val": dataset}, tmp_path / "coco")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_damaged_picture_is_not_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_coco_splits(tmp_path / "source")
    content = (source / "val" / "val1.png").read_bytes()
    (source / "val" / "val1.png").write_bytes(content[: len(content) // 2])
    assert main(["data", "convert", str(source), "--out", str(tmp_path / "coco")]) == 2
    assert "val1.png: the file is cut short" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_data_set_without_splits_is_read_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_voc(tmp_path / "data")
    shutil.rmtree(data / "ImageSets")
    write_image(data / "JPEGImages" / "000002.jpg", np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8))
    code, content, _ = check(data, tmp_path, capsys)
    assert (code, list(content["splits"])) == (0, ["train"])


def test_an_unknown_folder_is_reported_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "is no data set that can be read: looked for COCO JSON" in " ".join(capsys.readouterr().err.split())


def test_convert_never_links(tmp_path: Path) -> None:
    """Also where the data set is made of links: they lead to files of the user."""
    source = write_yolo(tmp_path / "source")
    shutil.move(source / "images" / "val" / "a.png", tmp_path / "elsewhere.png")
    (source / "images" / "val" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert main(["data", "convert", str(source), "--out", str(tmp_path / "coco")]) == 0
    copies = list((tmp_path / "coco").rglob("*.png"))
    assert len(copies) == 4
    assert all(path.lstat().st_nlink == 1 and not path.is_symlink() for path in copies)


def test_a_link_to_something_else_is_not_copied(tmp_path: Path) -> None:
    source = write_coco_splits(tmp_path / "source")
    (source / "val" / "val0.png").unlink()
    (source / "val" / "val0.png").symlink_to("/etc/passwd")
    assert main(["data", "convert", str(source), "--out", str(tmp_path / "coco")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_times_and_identities_are_converted(tmp_path: Path) -> None:
    source = write_coco_splits(tmp_path / "source")
    path = source / "annotations" / "val.json"
    content = json.loads(path.read_text())
    content["images"][1]["time_s"] = 0.25
    content["annotations"][4]["track_id"] = 7
    path.write_text(json.dumps(content))
    assert main(["data", "convert", str(source), "--out", str(tmp_path / "coco")]) == 0
    record = read_dataset(tmp_path / "coco").images[1]
    assert record.track_ids is not None
    assert (record.time_s, record.track_ids.tolist()) == (0.25, [7, -1, -1, -1])


def test_damaged_pictures_and_splits_without_objects_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_coco_splits(tmp_path / "data")
    picture = data / "train" / "train0.png"
    noise = np.random.default_rng(0).integers(0, 256, (120, 192, 3)).astype(np.uint8)
    write_image(picture.with_suffix(".jpg"), noise)
    content = picture.with_suffix(".jpg").read_bytes()
    picture.write_bytes(content[: len(content) // 3] + bytes(2 * len(content) // 3) + b"\xff\xd9")
    path = data / "annotations" / "val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    code, report, _ = check(data, tmp_path, capsys)
    assert code == 1
    assert [finding["kind"] for finding in report["findings"]] == ["broken", "empty"]
    assert "train0.png: damaged (Corrupt JPEG data" in report["findings"][0]["text"]
    assert report["findings"][1]["text"] == "val has no object: nothing to learn or to score"


@pytest.mark.filterwarnings("error")
def test_any_class_name_can_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["\u8f66", "$car_{", "_hidden", "gro\u00df, small", "\U0001f681"]
    data = write_coco_splits(tmp_path / "data", classes={"train": names, "val": names})
    code, content, text = check(data, tmp_path, capsys)
    assert (code, list(content["splits"]["val"]["objects_by_class"])) == (0, names)
    assert "Glyph" not in text


@pytest.mark.parametrize(
    "options",
    [
        ["--images", "1000000000"], ["--clip", "1000000000"], ["--seed", "9" * 20], ["--fps", "5"],
        ["--clip", "2", "--fps", "nan"], ["--split", "a\udcffb"], ["--split", "x\x1b[31m"],
    ],
)  # fmt: skip
def test_render_refuses_what_never_ends(options: list[str], tmp_path: Path) -> None:
    assert main(["data", "render", "--out", str(tmp_path / "out"), "--size", "64", *options]) == 2
    assert not (tmp_path / "out").exists()

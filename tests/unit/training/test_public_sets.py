"""The data sets that `tinydet data fetch` knows, and what is made of their files."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.paths import REPOSITORY
from tests.unit.edge.datasets.test_voc import write_voc
from tests.unit.training.fetch.toy_set import NAME, write_set, write_source
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import read_image
from tinydet.training.data import public_sets
from tinydet.training.data.cuts import VocByFlight
from tinydet.training.data.fetch import fetch
from tinydet.training.data.public_sets import manifest, names, parse_manifest, public_set

MIRRORS = {
    "aerial-vehicles": ("jekhor+aerial-cars-dataset", "d2ed927fe2b06e4794e90d6320152b940808ddd9"),
    "hit-uav": ("suojiashun+HIT-UAV-Infrared-Thermal-Dataset", "f8100db7ce3ab602005dd9f32854bb57d4de9b87"),
}
"""Name -> git mirror in a folder `.mirror` above the repository, and the commit that the sources name."""

BY_HAND = [name for name in names() if public_set(name).by_hand is not None]


def test_yolo_labels_become_coco_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source")
    monkeypatch.setattr(public_sets, "FOLDER", write_set(tmp_path / "sets", source, str(source)))
    assert fetch(NAME, tmp_path / "toys")
    train = json.loads((tmp_path / "toys/native/annotations/train.json").read_text())
    assert [image["file_name"] for image in train["images"]] == ["east_a-1.jpg", "east_a-2.jpg"]
    assert train["images"][0] | {"id": 0} == {
        "id": 0,
        "file_name": "east_a-1.jpg",
        "width": 80,
        "height": 40,
        "sequence": "east",
    }
    assert [(a["image_id"], a["category_id"], a["bbox"], a["area"]) for a in train["annotations"][:2]] == [
        (1, 1, [30.0, 10.0, 20.0, 20.0], 400.0),
        (1, 2, [0.0, 8.0, 20.0, 4.0], 80.0),  # clipped on the left
    ]
    val = json.loads((tmp_path / "toys/tiny/annotations/val.json").read_text())
    assert [(a["category_id"], a["bbox"]) for a in val["annotations"]] == [
        (1, [7.5, 2.5, 5.0, 5.0]),
        (2, [0.0, 2.0, 5.0, 1.0]),
    ]
    assert val["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "truck"}]
    for frame, name in (("A-1.png", "east_a-1.jpg"), ("A-2.png", "east_a-2.jpg")):
        mean_of_four_rgb = read_image(source / "frames" / frame).reshape(20, 2, 40, 2, 3).mean((1, 3))
        difference_rgb = read_image(tmp_path / "toys/tiny/train" / name) - mean_of_four_rgb
        assert np.abs(difference_rgb @ (0.299, 0.587, 0.114)).mean() < 4, "JPEG keeps brightness best"


def test_voc_is_split_by_flight(tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    write_voc(downloads / "voc")
    labels, pictures = downloads / "voc/Annotations", downloads / "voc/JPEGImages"
    first = next(labels.iterdir()).stem
    picture = next(path for path in pictures.iterdir() if path.stem == first)
    for number in (7, 20, 5, 30, 9):
        (labels / f"1_{number}_0{number}.xml").write_bytes((labels / f"{first}.xml").read_bytes())
        (pictures / f"1_{number}_0{number}{picture.suffix}").write_bytes(picture.read_bytes())
    for path in [*labels.iterdir(), *pictures.iterdir()]:
        if not path.stem.startswith("1_"):
            path.unlink()
    published = downloads / "voc/ImageSets/Main"
    published.mkdir(parents=True, exist_ok=True)
    (published / "train.txt").write_text("1_7_07\n")
    (downloads / "LICENSE").write_text("yours")
    VocByFlight(folder="voc", val=((5, 7), (30, 40)), test=((20, 20),)).write(downloads, tmp_path / "out")
    lists = {
        split: (tmp_path / f"out/ImageSets/Main/{split}.txt").read_text().split() for split in ("train", "val", "test")
    }
    assert lists == {"train": ["1_9_09"], "val": ["1_5_05", "1_7_07", "1_30_030"], "test": ["1_20_020"]}
    assert (tmp_path / "out/ImageSets/Official/train.txt").read_text() == "1_7_07\n"
    assert (tmp_path / "out/LICENSE").read_text() == "yours"
    assert len(read_dataset(tmp_path / "out", split="val").images) == 3


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a/..", "./x", "a//x", "x/", ".."])
def test_paths_that_lead_out_of_the_folder_are_refused(path: str) -> None:
    with pytest.raises(InputError, match=r"m, line 1: the path .* leads out of the folder"):
        parse_manifest([f"{'0' * 64} 1 {path}"], source="m")


@pytest.mark.parametrize("line", ["", "x", f"{'0' * 64} x", f"{'0' * 63} 1 x", f"{'0' * 64} -1 x", f"{'G' * 64} 1 x"])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(InputError, match="m, line 1: expected `SHA-256 bytes path`"):
        parse_manifest([line], source="m")


def test_every_set_can_be_listed_and_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch"]) == 0
    listed = capsys.readouterr().err
    assert main(["data", "fetch", "--list"]) == 0
    assert capsys.readouterr().err == listed
    assert [line.split()[0] for line in listed.splitlines()] == names()
    for name in names():
        chosen = public_set(name)
        assert chosen.licence in listed and chosen.title in listed
        if chosen.by_hand is None:
            assert all(source.startswith("https://") for source in chosen.sources)
            assert len({file.path for file in manifest(name)}) == len(manifest(name))
            assert chosen.changes


def test_frames_that_are_not_free_are_not_fetched() -> None:
    paths = [file.path for file in manifest("aerial-vehicles")]
    assert len(paths) == 2 * 106
    assert not any("harlem" in path for path in paths)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_set_to_fetch_by_hand_says_how(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = public_set(name)
    assert chosen.by_hand is not None
    assert main(["data", "fetch", name]) == 2
    said = capsys.readouterr().err
    assert chosen.address in said and "  1. " in said
    assert said.splitlines()[-1].startswith(f"error: {name} has to be fetched by hand, and datasets/{chosen.folder}/")
    assert not list(tmp_path.iterdir())
    assert main(["data", "fetch", name, "--from", "."]) == 2
    assert "--from has no effect" in capsys.readouterr().err
    for path in chosen.by_hand.holds:
        (tmp_path / "mine" / path).mkdir(parents=True)
    assert main(["data", "fetch", name, "--out", "mine"]) == 0
    assert "mine is complete" in capsys.readouterr().err


def from_mirror(name: str, tmp_path: Path) -> Path:
    """Fetch from a checkout of the git mirror; skips where the machine has none."""
    folder, commit = MIRRORS[name]
    mirrors = [parent / ".mirror" / folder / "repo" for parent in REPOSITORY.parents]
    mirror = next((path for path in mirrors if path.is_dir()), None)
    if mirror is None:
        pytest.skip(f"no git mirror of {public_set(name).address} on this machine")
    assert any(commit in source for source in public_set(name).sources)
    paths = sorted({file.path.partition("/")[0] for file in manifest(name)})
    archive = tmp_path / "mirror.tar"
    subprocess.run(["git", f"--git-dir={mirror}", "archive", "-o", archive, commit, *paths], check=True)
    with tarfile.open(archive) as files:
        files.extractall(tmp_path / "mirror", filter="data")
    assert main(["data", "fetch", name, "--from", str(tmp_path / "mirror"), "--out", str(tmp_path / name)]) == 0
    return tmp_path / name


@pytest.mark.slow
def test_aerial_vehicles_is_the_set_of_the_published_numbers(aerial_vehicles: Path, tmp_path: Path) -> None:
    """The same boxes and images; the files are equal bit by bit with the OpenCV that made the shared ones."""
    fetched = from_mirror("aerial-vehicles", tmp_path)
    for variant in ("native", "tiny"):
        for split in ("train", "val"):
            ours, theirs = (
                json.loads((folder / variant / "annotations" / f"{split}.json").read_text())
                for folder in (fetched, aerial_vehicles)
            )
            for key in ("images", "annotations", "categories"):
                assert ours[key] == theirs[key]
    pictures = sorted(path.relative_to(fetched) for path in fetched.rglob("*.jpg"))
    assert pictures == sorted(path.relative_to(aerial_vehicles) for path in aerial_vehicles.rglob("*.jpg"))
    differences = [
        np.abs(read_image(fetched / path).astype(int) - read_image(aerial_vehicles / path)).mean() for path in pictures
    ]
    assert max(differences) < 0.5


@pytest.mark.slow
def test_hit_uav_is_the_set_of_the_published_numbers(tmp_path: Path) -> None:
    """The same labels and lists; images as published, the shared ones are coded a second time (quality 90)."""
    shared = next((found for parent in REPOSITORY.parents if (found := parent / "shared/data/hit-uav").is_dir()), None)
    if shared is None:
        pytest.skip("no shared/data/hit-uav on this machine")
    fetched = from_mirror("hit-uav", tmp_path)
    texts = [path for pattern in ("Annotations/*", "ImageSets/*/*", "LICENSE") for path in shared.glob(pattern)]
    assert len(texts) == 2898 + 7 + 1
    for path in texts:
        assert (fetched / path.relative_to(shared)).read_bytes() == path.read_bytes()
    names_of = {path.name for path in (shared / "JPEGImages").iterdir()}
    assert {path.name for path in (fetched / "JPEGImages").iterdir()} == names_of
    for name in sorted(names_of)[::50]:
        ours, theirs = (read_image(folder / "JPEGImages" / name).astype(int) for folder in (fetched, shared))
        assert np.abs(ours - theirs).mean() < 2

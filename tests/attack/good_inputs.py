"""Writes one small good input of every kind into a folder: `python -m tests.attack.good_inputs FOLDER`."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np

from tinydet.edge.files.images import write_image

CLASSES = ("car", "person")
SIDE_PX = 64
BOX = (20, 24, 12, 8)
"""Left, top, width, height of the one object in every image."""

RECIPE = """
[model]
size = "n"
weights = "random"
neck = "efpn-bs"
cem = true
fbsm = "gate"

[data]
train = ["coco"]
val = "coco"
classes = ["car", "person"]
input_px = 64
crop_px = 64
scale = [1.0, 1.5]
mosaic = 0.5
workers = 0

[optimizer]
name = "adamw"
learning_rate = 1e-3
weight_decay = 0.02

[loss]
balance = "object"
by_size = 0.5

[schedule]
epochs = 1
steps_per_epoch = 1
batch = 2
warmup_steps = 1
seed = 0
"""
QAT_RECIPE = """
[data]
train = ["coco"]
val = "coco"
classes = ["car", "person"]
crop_px = 64
scale = [1.0, 1.5]
mosaic = 0.0
colour = 0.5

[schedule]
epochs = 1
steps_per_epoch = 1
batch = 2
warmup_steps = 1

[optimizer]
learning_rate = 2e-5
"""
DISTILLATION_RECIPE = """
[data]
train = ["coco"]
val = ["coco"]
crop_px = 64
scale = [1.0, 1.5]
grey = 0.5
workers = 0

[schedule]
epochs = 1
steps_per_epoch = 1
batch = 2
warmup_steps = 1
"""
CAMERA = """
[camera]
image_wh_px = [64, 64]
fx_px = 60.0
fy_px = 60.0
cx_px = 32.0
cy_px = 32.0
distortion = [0.1, 0.01, 0.0, 0.0]
mounted_on = "airframe"
pitch_deg = -90.0
"""
FLIGHT = """
model = "spots.onnx"
source = "images"
jsonl = "out/flight.jsonl"
score = 0.5
threads = 1
classes = "car,person"
track = false
"""
VOC = """<?xml version="1.0"?>
<annotation>
  <size><width>64</width><height>64</height><depth>3</depth></size>
  <object><name>car</name><difficult>0</difficult>
    <bndbox><xmin>21</xmin><ymin>25</ymin><xmax>32</xmax><ymax>32</ymax></bndbox>
  </object>
</annotation>
"""


def write_good_inputs(folder: Path) -> None:
    """Pictures, a clip, data sets of all formats, settings, profiles, artifacts of all runtimes, checkpoints, a run."""
    folder.mkdir(parents=True)
    _pictures(folder)
    _data_sets(folder)
    tables = {"recipe": RECIPE, "qat": QAT_RECIPE, "distil": DISTILLATION_RECIPE, "camera": CAMERA, "flight": FLIGHT}
    for name, text in tables.items():
        (folder / f"{name}.toml").write_text(text)
    _profiles(folder)
    _artifacts(folder)
    _networks(folder)


def _image(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    left, top, width, height = BOX
    image = np.random.default_rng(seed).integers(40, 90, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    image[top : top + height, left : left + width] = 255
    return image


def _pictures(folder: Path) -> None:
    from tests.unit.edge.sources.test_sources import write_clip

    write_image(folder / "images" / "a.jpg", _image(0))
    write_image(folder / "images" / "b.png", _image(1))
    write_clip(folder / "clip.mp4")


def _data_sets(folder: Path) -> None:
    left, top, width, height = BOX
    images = [{"id": n, "file_name": f"{n}.png", "width": SIDE_PX, "height": SIDE_PX} for n in range(2)]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": list(BOX), "area": width * height, "iscrowd": 0}
        for n in range(2)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    clip = [image | {"sequence": "flight", "time_s": float(n)} for n, image in enumerate(images)]
    tracked = [box | {"track_id": 0} for box in boxes]
    for split in ("train", "val"):
        for number in range(2):
            write_image(folder / "coco" / split / f"{number}.png", _image(number + 7 * (split == "val")))
        (folder / "coco" / "annotations").mkdir(exist_ok=True)
        (folder / "coco" / "annotations" / f"{split}.json").write_text(json.dumps(content))
    write_image(folder / "clips" / "val" / "0.png", _image(0))
    write_image(folder / "clips" / "val" / "1.png", _image(1))
    (folder / "clips" / "annotations").mkdir()
    (folder / "clips" / "annotations" / "val.json").write_text(
        json.dumps(content | {"images": clip, "annotations": tracked})
    )
    right, bottom = left + width, top + height
    centre = f"0 {(left + width / 2) / SIDE_PX} {(top + height / 2) / SIDE_PX} {width / SIDE_PX} {height / SIDE_PX}\n"
    for number in range(2):
        write_image(folder / "yolo" / "images" / "val" / f"{number}.png", _image(number))
        write_image(folder / "voc" / "JPEGImages" / f"{number}.jpg", _image(number))
        write_image(folder / "visdrone" / "VisDrone2019-DET-val" / "images" / f"{number}.jpg", _image(number))
        write_image(folder / "video" / "VisDrone2019-VID-val" / "sequences" / "a" / f"{number}.jpg", _image(number))
        write_image(folder / "dota" / "val" / "images" / f"{number}.png", _image(number))
    for name, text in {
        "yolo/data.yaml": "path: .\nval: images/val\nnames:\n  0: car\n  1: person\n",
        "yolo/labels/val/0.txt": centre,
        "yolo/labels/val/1.txt": centre,
        "yolo-list/data.yaml": "val: val.txt\nnames: [car, person]\n",
        "yolo-list/val.txt": "0.png\n1.png\n",
        "voc/Annotations/0.xml": VOC,
        "voc/Annotations/1.xml": VOC,
        "voc/ImageSets/Main/val.txt": "0\n1\n",
        "visdrone/VisDrone2019-DET-val/annotations/0.txt": f"{left},{top},{width},{height},1,4,0,0\n",
        "visdrone/VisDrone2019-DET-val/annotations/1.txt": f"{left},{top},{width},{height},1,4,0,0\n",
        "video/VisDrone2019-VID-val/annotations/a.txt": f"0,5,{left},{top},{width},{height},1,4,0,0\n",
        "dota/val/labelTxt/0.txt": f"{left} {top} {right} {top} {right} {bottom} {left} {bottom} car 0\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for number in range(2):
        write_image(folder / "yolo-list" / f"{number}.png", _image(number))


def _profiles(folder: Path) -> None:
    from tests.unit.boards.profiling.made_profiles import artifact, profile

    for name, infer_ms in {"before": 10.0, "after": 11.0}.items():
        content = profile(
            artifact(infer_ms=infer_ms, power_w=5.0), artifact("b.onnx", infer_ms=2 * infer_ms, power_w=4.0)
        )
        for row in content["artifacts"]:
            for turn in row["turns"]:
                for stage in ("pre_ms", "infer_ms", "post_ms"):
                    turn[stage] = turn[stage][:20]
            row["turns"] = row["turns"][:2]
        (folder / f"{name}.json").write_text(json.dumps(content))


def _artifacts(folder: Path) -> None:
    from tests.models import spot_metadata, write_spot_detector, write_spot_ir
    from tests.tflite_models import write_spot_tflite

    metadata = spot_metadata(
        class_names=CLASSES, accuracy={"AP": 0.5, "data": "coco"}, tool_versions={"onnx": "1.0", "torch": "2.0"}
    )
    write_spot_detector(folder / "spots.onnx", metadata)
    write_spot_tflite(folder / "spots.tflite", metadata)
    write_spot_ir(folder / "spots-ir.xml")


def _networks(folder: Path) -> None:
    from tests.networks import calibrated, detector, images
    from tinydet.edge.commands.cli import main
    from tinydet.quantization.ptq import QuantizedNetwork
    from tinydet.quantization.quantized_file import save_quantized
    from tinydet.training.checkpoint import load_detector, save_detector
    from tinydet.training.model import build_detector

    model = detector()
    config = dataclasses.replace(model.config, class_names=CLASSES)
    renamed = build_detector(config).eval()
    own = renamed.state_dict()
    few = {name: value[: len(own[name])] if value.dim() else value for name, value in model.state_dict().items()}
    renamed.load_state_dict(few)
    training = {"recipe": "made", "epoch": 1, "val": {"AP": 0.5}}
    save_detector(folder / "n.safetensors", renamed, input_px=SIDE_PX, training=training)
    loaded = load_detector(folder / "n.safetensors")
    graph = calibrated(loaded.model, images(2, seed=2, size_px=SIDE_PX)).quantized_graph("min-max")
    calibration = {"count": 2, "sha256": "1" * 64, "images": ["a.png", "b.png"]}
    network = QuantizedNetwork(graph=graph, input_hw=(SIDE_PX, SIDE_PX), method="ptq", calibration=calibration)
    save_quantized(folder / "int8.safetensors", loaded, network, history={"methods": {"min-max": 1.0}})
    for line in (
        ["export", f"{folder}/n.safetensors", "--out", f"{folder}/artifacts"],
        ["export", f"{folder}/int8.safetensors", "--format", "openvino", "--out", f"{folder}/artifacts"],
    ):
        assert main(line) == 0
    os.chdir(folder)
    assert main(["train", "recipe.toml", "--out", "run"]) == 0
    assert main(["distill", "distil.toml", "--out", "distilled"]) == 0


if __name__ == "__main__":
    write_good_inputs(Path(sys.argv[1]).resolve())

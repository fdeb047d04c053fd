"""Every command with good small inputs, and which of its files are attacked: the table."""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.attack.variant import Good

#: What a COCO file may hold beside what is read, or leave out.
COCO = Good(
    kind="json",
    free=("annotations[[]0].area", "annotations[[]0].id", "annotations[[]0].iscrowd"),
    optional=("annotations", "categories", "annotations[[]0]"),
    open=True,
)
CLIP = Good(kind="json", free=COCO.free, optional=(*COCO.optional, "images[[]0].sequence"), open=True)
PROFILE = Good(
    kind="json",
    free=("protocol.warm_up", "protocol.timed", "protocol.rounds*", "*.warm_up*", "artifacts[[]0].accuracy.per_class*"),
    optional=("artifacts[[]0].turns*",),
    open=True,
)
RECIPE = Good(kind="toml", optional=("optimizer*", "loss*", "model.*", "data.*", "schedule.*"))
SETTINGS = Good(kind="toml", optional=("*",))
_ARTIFACT_FREE = ("accuracy*", "tool_versions*", "calibration*", "quantization")
CHECKPOINT = Good(kind="safetensors", free=("training*",))
QUANTIZED = Good(kind="safetensors", free=("training*", "history*", "calibration*"))
STATE = Good(kind="safetensors", free=("history*",))
SPOTS = {
    "spots.onnx": Good(kind="onnx", free=_ARTIFACT_FREE),
    "spots.tflite": Good(kind="tflite", free=_ARTIFACT_FREE),
    "spots-ir.xml": Good(kind="ir", free=_ARTIFACT_FREE),
}
IR_WEIGHTS = Good(kind="bin")
PICTURE, LABELS = (Good(kind=kind, may_be_missing=True) for kind in ("image", "text"))
IMAGE, VIDEO, TEXT, XML, YAML = (Good(kind=kind) for kind in ("image", "video", "text", "xml", "yaml"))
YOLO_YAML = Good(kind="yaml", free=("path", "names*"), optional=("path",), open=True)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One command line that works, in a folder with its inputs."""

    line: str
    """Without `tinydet`; what it writes goes into `out`."""
    needs: tuple[str, ...]
    """Files and folders of the good inputs."""
    attacked: dict[str, Good] = field(default_factory=dict)
    """Files of `needs` that are replaced by bad ones, one at a time."""
    codes: tuple[int, ...] = (0,)
    """Exit codes of a run that ends well."""
    refusals: tuple[int, ...] = ()
    """Exit codes that say that something is wrong with the input, beside 2: of commands that look for that."""
    most: int | None = None
    """Variants of each file that are tried; None: all. For commands that take seconds."""
    goes_on: bool = False
    """An unreadable picture among others is an error at the end: the rest is written nevertheless."""
    limit_s: float = 30.0

    @property
    def command(self) -> str:
        """The command's name, with its task where it has tasks."""
        words = self.line.split()
        return " ".join(words[:2]) if words[0] == "data" else words[0]


def _detect(model: str, *more: str) -> str:
    return f"detect {model} images --save out/pictures --jsonl out/found.jsonl --coco out/found.json {' '.join(more)}"


ROWS: tuple[Row, ...] = (
    Row(
        line=_detect("spots.onnx"),
        needs=("spots.onnx", "images"),
        attacked={"spots.onnx": SPOTS["spots.onnx"], "images/a.jpg": PICTURE, "images/b.png": PICTURE},
        goes_on=True,
    ),
    Row(
        line=_detect("spots.tflite"), needs=("spots.tflite", "images"), attacked={"spots.tflite": SPOTS["spots.tflite"]}
    ),
    Row(
        line=_detect("spots-ir.xml"),
        needs=("spots-ir.xml", "spots-ir.bin", "images"),
        attacked={"spots-ir.xml": SPOTS["spots-ir.xml"], "spots-ir.bin": IR_WEIGHTS},
    ),
    Row(
        line=_detect("n.safetensors"),
        needs=("n.safetensors", "images"),
        attacked={"n.safetensors": CHECKPOINT},
    ),
    Row(
        line="detect spots.onnx clip.mp4 --save out/pictures --jsonl out/found.jsonl --track",
        needs=("spots.onnx", "clip.mp4"),
        attacked={"clip.mp4": VIDEO},
    ),
    Row(
        line="detect --config flight.toml",
        needs=("spots.onnx", "images", "flight.toml"),
        attacked={"flight.toml": SETTINGS},
    ),
    Row(
        line="detect spots.onnx images --jsonl out/found.jsonl --mavlink udpout:127.0.0.1:14999 --camera camera.toml",
        needs=("spots.onnx", "images", "camera.toml"),
        attacked={"camera.toml": SETTINGS},
    ),
    Row(
        line="evaluate spots.onnx coco --json out/accuracy.json",
        needs=("spots.onnx", "coco"),
        attacked={"coco/annotations/val.json": COCO, "coco/val/0.png": IMAGE},
    ),
    Row(
        line="evaluate spots.onnx clips --track --json out/accuracy.json",
        needs=("spots.onnx", "clips"),
        attacked={"clips/annotations/val.json": CLIP},
        most=80,
    ),
    Row(
        line="evaluate spots.onnx yolo --json out/accuracy.json",
        needs=("spots.onnx", "yolo"),
        attacked={"yolo/data.yaml": YOLO_YAML, "yolo/labels/val/0.txt": LABELS, "yolo/images/val/0.png": PICTURE},
    ),
    Row(
        line="evaluate spots.onnx yolo-list --json out/accuracy.json",
        needs=("spots.onnx", "yolo-list"),
        attacked={"yolo-list/data.yaml": YOLO_YAML, "yolo-list/val.txt": TEXT},
    ),
    Row(
        line="evaluate spots.onnx voc --json out/accuracy.json",
        needs=("spots.onnx", "voc"),
        attacked={"voc/Annotations/0.xml": XML, "voc/ImageSets/Main/val.txt": TEXT, "voc/JPEGImages/0.jpg": IMAGE},
    ),
    Row(
        line="evaluate spots.onnx visdrone --json out/accuracy.json",
        needs=("spots.onnx", "visdrone"),
        attacked={"visdrone/VisDrone2019-DET-val/annotations/0.txt": Good(kind="text", free=("6", "7", "last"))},
    ),
    Row(
        line="evaluate spots.onnx video --track 5 --json out/accuracy.json",
        needs=("spots.onnx", "video"),
        attacked={"video/VisDrone2019-VID-val/annotations/a.txt": Good(kind="text", free=("8", "9", "last"))},
    ),
    Row(
        line="evaluate spots.onnx dota --json out/accuracy.json",
        needs=("spots.onnx", "dota"),
        attacked={"dota/val/labelTxt/0.txt": Good(kind="text", free=("8", "9", "last"))},
    ),
    Row(
        line="profile spots.onnx --seconds 0.05 --data coco --json out/profile.json",
        needs=("spots.onnx", "coco"),
        attacked={"spots.onnx": SPOTS["spots.onnx"]},
        most=12,
    ),
    Row(
        line="compare before.json after.json --fail-slower 50 --fail-ap 1 --json out/change.json",
        needs=("before.json", "after.json"),
        attacked={"after.json": PROFILE},
        codes=(0, 1),
    ),
    Row(
        line="recommend before.json --min-fps 15 --min-ap 0.1 --max-watt 9 --json out/choice.json",
        needs=("before.json",),
        attacked={"before.json": PROFILE},
        codes=(0, 1),
    ),
    Row(
        line="data check coco --picture out/check.png --json out/check.json",
        needs=("coco",),
        attacked={"coco/annotations/train.json": COCO, "coco/train/0.png": IMAGE},
        refusals=(1,),
        most=60,
    ),
    Row(
        line="data convert coco --out out/converted",
        needs=("coco",),
        attacked={"coco/annotations/train.json": COCO},
    ),
    Row(line="data convert voc --out out/converted", needs=("voc",), attacked={"voc/Annotations/0.xml": XML}),
    Row(
        line="data render --out out/scenes --images 1 --size 64",
        needs=(),
    ),
    Row(line="data render --decoys --out out/scenes --images 1 --size 64", needs=()),
    Row(
        line="train recipe.toml --out out/run",
        needs=("recipe.toml", "coco"),
        attacked={"recipe.toml": RECIPE},
        most=120,
    ),
    Row(
        line="train recipe.toml --out out/run --set model.weights=n.safetensors",
        needs=("recipe.toml", "coco", "n.safetensors"),
        attacked={"n.safetensors": CHECKPOINT},
        most=24,
        limit_s=120.0,
    ),
    Row(
        line="train recipe.toml --out run --resume",
        needs=("recipe.toml", "coco", "run/state.safetensors"),
        attacked={"run/state.safetensors": STATE},
        most=48,
        limit_s=120.0,
    ),
    Row(
        line="distill distil.toml --out out/run",
        needs=("distil.toml", "coco"),
        attacked={"distil.toml": RECIPE},
        most=60,
        limit_s=120.0,
    ),
    Row(
        line="distill distil.toml --out distilled --resume",
        needs=("distil.toml", "coco", "distilled/state.safetensors"),
        attacked={"distilled/state.safetensors": STATE},
        most=24,
        limit_s=120.0,
    ),
    Row(
        line="train recipe.toml --out out/run --set model.backbone=fused0 "
        "--set model.weights=distilled/backbone.safetensors",
        needs=("recipe.toml", "coco", "distilled/backbone.safetensors"),
        attacked={"distilled/backbone.safetensors": CHECKPOINT},
        most=24,
        limit_s=120.0,
    ),
    Row(
        line="ablate recipe.toml --seeds 1 --out out/runs",
        needs=("recipe.toml",),
        attacked={"recipe.toml": RECIPE},
        most=0,
    ),
    Row(
        line="inspect n.safetensors coco/val/0.png --data coco --out out/inspected.png",
        needs=("n.safetensors", "coco"),
        attacked={"n.safetensors": CHECKPOINT, "coco/val/0.png": IMAGE},
        most=12,
        limit_s=120.0,
    ),
    Row(
        line="quantize n.safetensors --calibration images --out out/int8",
        needs=("n.safetensors", "images"),
        attacked={"n.safetensors": CHECKPOINT, "images/a.jpg": PICTURE},
        most=10,
        limit_s=120.0,
    ),
    Row(
        line="quantize n.safetensors --method qat --recipe qat.toml --calibration images --data coco --out out/int8",
        needs=("n.safetensors", "images", "coco", "qat.toml"),
        attacked={"qat.toml": RECIPE},
        most=16,
        codes=(0, 3),
        limit_s=240.0,
    ),
    Row(
        line="export n.safetensors --out out/artifacts",
        needs=("n.safetensors",),
        attacked={"n.safetensors": CHECKPOINT},
        most=40,
        limit_s=120.0,
    ),
    Row(
        line="export int8.safetensors --out out/artifacts",
        needs=("int8.safetensors",),
        attacked={"int8.safetensors": QUANTIZED},
        most=60,
        limit_s=120.0,
    ),
    Row(
        line="sensitivity n.safetensors --calibration images --images 1 --json out/ranking.json",
        needs=("n.safetensors", "images"),
        attacked={"n.safetensors": CHECKPOINT},
        most=6,
        limit_s=120.0,
    ),
    Row(
        line="parity artifacts --data coco --json out/parity.json",
        needs=("artifacts", "coco"),
        attacked={"artifacts/n-64px-fp32.onnx": SPOTS["spots.onnx"], "coco/annotations/val.json": COCO},
        most=12,
        codes=(0, 1),
    ),
    Row(line="doctor --json out/doctor.json", needs=(), codes=(0, 1), limit_s=120.0),
)

BAD_NUMBERS = ("nan", "inf", "-1", "1e999", "9" * 20, "1" * 5000, "²", "abc", "", "1000000000")
BAD_TEXTS = ("", "x" * 300, "a\udcffb", "-", "/dev/zero", "no/such/file", "\x1b[31m")
LARGEST_SANE = 1_000_000


def bad_options(action: Action) -> Iterator[tuple[str, list[str]]]:
    """(kind, arguments to add) of one option of a command's parser, by its type."""
    if not action.option_strings or action.nargs == 0 or "--help" in action.option_strings:
        return
    option = action.option_strings[-1]
    is_number = getattr(action.type, "__name__", "") == "parse"  # of tinydet.edge.commands.options
    for value in BAD_NUMBERS if is_number else BAD_TEXTS:
        kind = "empty option" if value == "" else "bad option"
        yield f"{kind}", [option, value]

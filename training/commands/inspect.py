"""`tinydet inspect`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from tinydet.edge.datasets.dataset import Dataset


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="CHECKPOINT", help="checkpoint (.safetensors) or bundled detector (n, s)")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="image file")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DATA",
        help="data set of the image, for its ground truth (default: searched in the folders above the image)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.png", help="picture to write (default: runs/inspect/<image name>.png)"
    )


def _run(arguments: Namespace) -> None:
    import numpy as np

    from tinydet.edge.datasets.dataset import read_record
    from tinydet.edge.evaluation.evaluate import match_classes
    from tinydet.edge.files.images import read_image
    from tinydet.edge.runtimes.opening import model_path
    from tinydet.training.checkpoint import load_detector
    from tinydet.training.inspection import inspect, write_picture
    from tinydet.training.model.cost import count_macs, count_parameters

    out: Path = arguments.out or Path("runs/inspect") / f"{arguments.image.stem}.png"
    if out.suffix != ".png":
        raise InputError(f"--out {out}: expected a file ending in .png")
    path = model_path(arguments.model)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot inspect {path}: expected a checkpoint (.safetensors) or a bundled detector")
    image_rgb = read_image(arguments.image)
    loaded = load_detector(path)
    found = _truth(arguments.image, arguments.data)
    known = set(loaded.model.config.class_names)
    if found is not None and arguments.data is None and not known & set(found[0].class_names):
        found = None  # ground truth of other classes
    class_ids, record = np.zeros(0, np.int64), None
    if found is None:
        terminal.say("note: no ground truth found for this image, so no gradients; give its data set with --data")
    else:
        dataset, position = found
        record = dataset.images[position]
        image_rgb = read_record(record)
        names = match_classes(loaded.model.config.class_names, dataset.class_names).data_class_ids.tolist()
        class_ids = np.array([names.index(i) if i in names else -1 for i in record.class_ids.tolist()], np.int64)
    parameters, macs = count_parameters(loaded.model), count_macs(loaded.model, input_px=loaded.input_px)
    terminal.say(f"{path.name}: {parameters / 1e6:.1f} M parameters, {macs / 1e9:.1f} GMACs at {loaded.input_px} px")
    inspection = inspect(loaded.model, image_rgb, record, input_px=loaded.input_px, class_ids=class_ids)
    for title, shares in (
        ("objects' gradient by backbone level", inspection.gradient_by_level),
        ("box gradient by object size", inspection.gradient_by_band),
        ("the same with DCLoss", inspection.balanced_by_band),
    ):
        if shares:
            table = terminal.new_table(*shares, title=title, texts=0)
            table.add_row(*(f"{100 * share:.1f} %" for share in shares.values()))
            terminal.print_table(table)
    write_picture(out, inspection, title=f"{arguments.model} on {arguments.image.name}")
    terminal.say(f"wrote {out}: {len(inspection.detections)} detections, {len(inspection.truth_xyxy_px)} objects")


def _truth(image: Path, data: Path | None) -> tuple[Dataset, int] | None:
    """Find the data set of the image, and its position there."""
    from tinydet.edge.datasets.reading import read_dataset, splits_of

    folders = [data] if data is not None else [image.parent, image.parent.parent, image.parent.parent.parent]
    for folder in folders:
        try:
            datasets = [read_dataset(folder, split=split) for split in splits_of(folder)]
        except InputError:
            if data is not None:
                raise
            continue  # not the image's data set, as a rule
        for dataset in datasets:
            for position, record in enumerate(dataset.images):
                if record.path.resolve() == image.resolve():
                    return dataset, position
    if data is not None:
        raise InputError(f"data set {data} does not contain {image}")
    return None


COMMAND = Command(
    name="inspect",
    help="draw a detector's masks, gradients and detections for one image",
    example="tinydet inspect n datasets/aerial-vehicles/tiny/val/minsk_0013_dji_0013-0023.jpg",
    add_arguments=_add_arguments,
    run=_run,
)

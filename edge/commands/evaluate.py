"""`tinydet evaluate`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tinydet.edge.commands import terminal
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.options import (
    MOST_FRAMES_PER_S,
    SLICE_OPTION,
    add_json_argument,
    add_runtime_arguments,
    number,
)

_IN_TILES = {None: "", "tiles": ", in tiles", "full": ", in tiles and as a whole"}


def _add_arguments(parser: ArgumentParser) -> None:
    from tinydet.edge.evaluation.average_precision import PROTOCOLS

    parser.add_argument("model", metavar="MODEL", help="artifact, checkpoint, or bundled model (n, s)")
    parser.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        help="data set: folder or file in COCO, VisDrone, YOLO, Pascal VOC or DOTA format",
    )
    parser.add_argument("--split", default="val", help="split of a data set folder (default: val)")
    add_json_argument(parser)
    parser.add_argument("--slice", **SLICE_OPTION)
    parser.add_argument(
        "--track",
        metavar="FPS",
        nargs="?",
        type=number(0, MOST_FRAMES_PER_S),
        const=0.0,
        help="also score tracking (IDF1) on clips with track ids; FPS: frame rate, if the data set gives no times",
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="ai-tod",
        help="benchmark whose size bands and number of detections are used (default: ai-tod)",
    )
    add_runtime_arguments(parser)


def _run(arguments: Namespace) -> None:
    from tinydet.edge.datasets.reading import read_dataset
    from tinydet.edge.detection.detector import Detector
    from tinydet.edge.evaluation.average_precision import PROTOCOLS, measure_accuracy
    from tinydet.edge.evaluation.evaluate import check_objects, detect_for_scoring, match_classes
    from tinydet.edge.evaluation.track_evaluation import check_tracks, evaluate_tracking

    terminal.check_json_target(arguments.json)
    dataset = read_dataset(arguments.data, split=arguments.split)
    check_objects(dataset)
    frames_per_s = arguments.track or None
    if arguments.track is not None:
        check_tracks(dataset, frames_per_s)
    detector = Detector(arguments.model, threads=arguments.threads, device=arguments.device)
    notes = [*dataset.notes, *match_classes(detector.class_names, dataset.class_names).notes]
    terminal.say_notes(notes)
    terminal.prepare_json_target(arguments.json)

    protocol = PROTOCOLS[arguments.protocol]
    images = terminal.track(dataset.images, "evaluating")
    found = detect_for_scoring(detector, dataset, images, protocol=protocol, slicing=arguments.slice)
    accuracy = measure_accuracy(dataset, found, protocol=protocol)

    rows = {"all classes": accuracy.overall, **accuracy.per_class}
    title = f"{arguments.model} on {dataset.path}: {len(dataset.images)} images, {dataset.object_count} objects"
    terminal.print_table(terminal.accuracy_table(rows, tuple(protocol.metrics), title))
    runtime = detector.runtime
    terminal.say(
        f"protocol {arguments.protocol}, at most {protocol.max_detections} detections per image"
        f"{_IN_TILES[arguments.slice]}; {runtime.name}, {runtime.provider}"
    )
    content = {
        "model": str(arguments.model),
        "precision": runtime.metadata.precision,
        "runtime": runtime.name,
        "provider": runtime.provider,
        "data": str(dataset.path),
        "images": len(dataset.images),
        "objects": dataset.object_count,
        "protocol": arguments.protocol,
        "sliced": arguments.slice is not None,
        "full_frame": arguments.slice == "full",
        "notes": notes,
        **accuracy.as_dict(),
    }
    if arguments.track is not None:
        identity, per_class = evaluate_tracking(dataset, found, frames_per_s=frames_per_s)
        for name, score in {"all classes": identity, **per_class}.items():
            if score.idf1 is not None:
                terminal.say(f"tracking, {name}: IDF1 {score.idf1:.3f}, {score.switches} identity switches")
        scores = {name: score.as_dict() for name, score in per_class.items()}
        content["tracking"] = {**identity.as_dict(), "per_class": scores}
    terminal.deliver_json(content, arguments.json)
    if Path(arguments.model).suffix == ".safetensors":
        terminal.say_next("export", arguments.model, "--precision", "int8", "--calibration", "IMAGES", "--out", "DIR")
    else:
        terminal.say_next("profile", arguments.model, "--data", arguments.data)


COMMAND = Command(
    name="evaluate",
    help="measure a model's accuracy on a data set: AP overall, by object size and by class",
    example="tinydet evaluate n-640px-int8.onnx datasets/flights --split val --json runs/accuracy.json",
    add_arguments=_add_arguments,
    run=_run,
)

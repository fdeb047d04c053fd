"""`tinydet evaluate`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="artifact, checkpoint, or a bundled size")
    parser.add_argument("data", metavar="DATA", type=Path, help="COCO JSON file, or data set folder")
    parser.add_argument("--split", default="val", help="which annotations of a folder (default: val)")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the result as JSON (default: stdout)"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads of the runtime (default: its choice)")


def _run(arguments: Namespace) -> None:
    from functools import partial

    from edge import terminal
    from edge.accuracy import METRIC_KEYS
    from edge.dataset import read_dataset
    from edge.detector import Detector
    from edge.evaluation import evaluate, match_classes

    terminal.check_json_target(arguments.json)
    dataset = read_dataset(arguments.data, split=arguments.split)
    detector = Detector(arguments.model, threads=arguments.threads)
    notes = [*dataset.notes, *match_classes(detector.class_names, dataset.class_names).notes]
    for note in notes:
        terminal.say(f"note: {note}")
    terminal.prepare_json_target(arguments.json)

    accuracy = evaluate(detector, dataset, partial(terminal.track, description="evaluating"))

    rows = {"all classes": accuracy.overall, **accuracy.per_class}
    title = f"{arguments.model} on {dataset.path}: {len(dataset.images)} images, {dataset.object_count} objects"
    terminal.print_table(terminal.accuracy_table(rows, METRIC_KEYS, title))
    runtime = detector.runtime
    terminal.say(f"AI-TOD protocol, at most 1500 detections an image; {runtime.name}, {runtime.provider}")
    content = {
        "model": str(arguments.model),
        "precision": runtime.metadata.precision,
        "runtime": runtime.name,
        "provider": runtime.provider,
        "data": str(dataset.path),
        "images": len(dataset.images),
        "objects": dataset.object_count,
        "notes": notes,
        **accuracy.as_dict(),
    }
    terminal.deliver_json(content, arguments.json)
    terminal.say(f"next: tinydet profile {arguments.model} --data {arguments.data}")


COMMAND = Command(
    name="evaluate",
    help="measure the accuracy (AP overall, by size, by class) of a model on a data set",
    example="tinydet evaluate n-640px-int8.onnx datasets/flights --split val --json runs/accuracy.json",
    add_arguments=_add_arguments,
    run=_run,
)

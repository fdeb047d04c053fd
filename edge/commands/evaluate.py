"""`tinydet evaluate`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    from edge.accuracy import PROTOCOLS

    parser.add_argument("model", metavar="MODEL", help="artifact, checkpoint, or a bundled size")
    parser.add_argument("data", metavar="DATA", type=Path, help="data set folder or file: COCO, VisDrone, YOLO or VOC")
    parser.add_argument("--split", default="val", help="which annotations of a folder (default: val)")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the result as JSON (default: stdout)"
    )
    parser.add_argument(
        "--slice", action="store_true", help="frames larger than the input: detect tile by tile at full resolution"
    )
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, default="ai-tod", help="bands and number of detections (default: ai-tod)"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads of the runtime (default: its choice)")


def _run(arguments: Namespace) -> None:
    from functools import partial

    from edge import terminal
    from edge.accuracy import PROTOCOLS
    from edge.detector import Detector
    from edge.evaluation import evaluate, match_classes
    from edge.formats import read_dataset

    terminal.check_json_target(arguments.json)
    dataset = read_dataset(arguments.data, split=arguments.split)
    detector = Detector(arguments.model, threads=arguments.threads)
    notes = [*dataset.notes, *match_classes(detector.class_names, dataset.class_names).notes]
    for note in notes:
        terminal.say(f"note: {note}")
    terminal.prepare_json_target(arguments.json)

    protocol = PROTOCOLS[arguments.protocol]
    progress = partial(terminal.track, description="evaluating")
    accuracy = evaluate(detector, dataset, progress, protocol=protocol, sliced=arguments.slice)

    rows = {"all classes": accuracy.overall, **accuracy.per_class}
    title = f"{arguments.model} on {dataset.path}: {len(dataset.images)} images, {dataset.object_count} objects"
    terminal.print_table(terminal.accuracy_table(rows, tuple(protocol.metrics), title))
    runtime = detector.runtime
    terminal.say(
        f"protocol {arguments.protocol}, at most {protocol.max_detections} detections an image"
        f"{', in tiles' if arguments.slice else ''}; {runtime.name}, {runtime.provider}"
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
        "sliced": arguments.slice,
        "notes": notes,
        **accuracy.as_dict(),
    }
    terminal.deliver_json(content, arguments.json)
    if Path(arguments.model).suffix == ".safetensors":
        terminal.say(f"next: tinydet export {arguments.model} --precision int8 --calibration IMAGES --out DIR")
    else:
        terminal.say(f"next: tinydet profile {arguments.model} --data {arguments.data}")


COMMAND = Command(
    name="evaluate",
    help="measure the accuracy (AP overall, by size, by class) of a model on a data set",
    example="tinydet evaluate n-640px-int8.onnx datasets/flights --split val --json runs/accuracy.json",
    add_arguments=_add_arguments,
    run=_run,
)

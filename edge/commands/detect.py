"""`tinydet detect`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.command import Command
from edge.errors import InputError

if TYPE_CHECKING:
    from edge.detector import Detector, StageTimes
    from edge.sinks import Sink
    from edge.sources import Source

FALLBACK_FRAMES_PER_S = 25.0
"""Of an annotated video whose source does not tell its own."""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="ARTIFACT", help="model file, or a bundled size")
    parser.add_argument("source", metavar="SOURCE", type=Path, help="image, folder of images, or video")
    parser.add_argument(
        "--save", metavar="DIR", type=Path, help="write pictures, or a video, with the detections drawn"
    )
    parser.add_argument("--jsonl", metavar="FILE", help="write one JSON object a frame")
    parser.add_argument("--coco", metavar="FILE", help="write COCO JSON, for labelling tools")
    parser.add_argument(
        "--score", metavar="T", type=float, help="keep detections of this score on (default: the model's)"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads of the runtime (default: its choice)")


def _run(arguments: Namespace) -> int:
    from contextlib import ExitStack
    from itertools import chain

    import numpy as np

    from edge import terminal
    from edge.detector import Detector
    from edge.sources import open_source

    terminal.check_json_target(arguments.jsonl, "--jsonl", (".jsonl", ".json"))
    terminal.check_json_target(arguments.coco, "--coco")
    if arguments.score is not None and not 0 <= arguments.score <= 1:
        raise InputError(f"--score: expected 0 to 1, got {arguments.score}")
    unreadable: list[InputError] = []
    source = open_source(arguments.source, on_unreadable=unreadable.append)
    detector = Detector(arguments.model, score_threshold=arguments.score, threads=arguments.threads)
    frames = iter(source)
    first = next(frames, None)  # nothing is created before one frame was read
    if first is None:
        raise InputError(f"none of the {source.frame_count} images in {source.path} can be read: {unreadable[0]}")

    counts = np.zeros(len(detector.class_names), np.int64)
    times: list[StageTimes] = []
    with ExitStack() as stack:
        sinks = [stack.enter_context(sink) for sink in _sinks(arguments, source, detector)]
        for frame in terminal.track_some(chain([first], frames), "detecting", source.frame_count):
            detections, frame_times = detector.detect_timed(frame.image_rgb)
            times.append(frame_times)
            counts += np.bincount(detections.class_ids, minlength=len(counts))
            for sink in sinks:
                sink.write(frame, detections, frame_times)

    _summarize(arguments, detector, counts.tolist(), times, sinks)
    for error in unreadable:
        terminal.say(f"error: {error}")
    return 2 if unreadable else 0


def _sinks(arguments: Namespace, source: Source, detector: Detector) -> list[Sink]:
    from edge.sinks import AnnotatedImages, AnnotatedVideo, CocoJson, JsonLines
    from edge.sources import VideoFile

    class_names = detector.class_names
    sinks: list[Sink] = []
    if arguments.save is not None:
        folder = source.path if source.path.is_dir() else source.path.parent
        if arguments.save.resolve() == folder.resolve():
            raise InputError(f"--save {arguments.save}: that is the folder of the source, whose files it would replace")
        if isinstance(source, VideoFile):
            path = arguments.save / f"{source.path.stem}.mp4"
            sinks.append(AnnotatedVideo(path, class_names, source.frames_per_s or FALLBACK_FRAMES_PER_S))
        else:
            sinks.append(AnnotatedImages(arguments.save, class_names))
    if arguments.jsonl is not None:
        sinks.append(JsonLines(Path(arguments.jsonl), class_names, source.path))
    if arguments.coco is not None:
        sinks.append(CocoJson(Path(arguments.coco), class_names))
    return sinks


def _summarize(
    arguments: Namespace, detector: Detector, counts: list[int], times: list[StageTimes], sinks: list[Sink]
) -> None:
    from statistics import median

    from edge import terminal

    by_class = ", ".join(f"{count} {name}" for count, name in zip(counts, detector.class_names, strict=True) if count)
    frames = "1 frame" if len(times) == 1 else f"{len(times)} frames"
    terminal.say(f"{frames}, {sum(counts)} objects{f': {by_class}' if by_class else ''}")
    pre, infer, post = (median(getattr(t, f"{stage}_ms") for t in times) for stage in ("pre", "infer", "post"))
    runtime = detector.runtime
    terminal.say(f"median ms: pre {pre:.2f}, infer {infer:.2f}, post {post:.2f} ({runtime.name}, {runtime.provider})")
    for sink in sinks:
        terminal.say(f"wrote {sink.path}")
    if not sinks:
        terminal.say("nothing was written: --save DIR draws the detections, --jsonl FILE lists them")
    terminal.say(f"next: tinydet profile {arguments.model}")


COMMAND = Command(
    name="detect",
    help="find objects in an image, a folder of images or a video",
    example="tinydet detect n-640px-int8.onnx flight.mp4 --save runs/flight --jsonl runs/flight.jsonl",
    add_arguments=_add_arguments,
    run=_run,
)

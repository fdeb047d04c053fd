"""`tinydet detect`."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tinydet.edge.commands import terminal
from tinydet.edge.commands.class_list import class_list, quoted
from tinydet.edge.commands.command import Command
from tinydet.edge.commands.detect_settings import DetectSettings
from tinydet.edge.commands.options import SLICE_OPTION, add_runtime_arguments, number
from tinydet.edge.errors import InputError

if TYPE_CHECKING:
    from tinydet.edge.aircraft.autopilot import Autopilot
    from tinydet.edge.detection.detector import Detector, StageTimes
    from tinydet.edge.sinks.sink import Sink
    from tinydet.edge.sources.frames import Source
    from tinydet.edge.stream.failures import Failures
    from tinydet.edge.stream.pipeline import Pipeline, Tracks

EXIT_INTERRUPTED = 130
MEDIAN_FRAMES = 1000
"""Frames whose times the summary is made of: the last ones."""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="artifact, checkpoint, or bundled model (n, s)")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="image, folder of images or video; camera: /dev/video0, v4l2://0, csi://0; stream: rtsp://, http(s)://, "
        "udp://; GStreamer: gst:PIPELINE; standard input: stdin://WIDTHxHEIGHT@FPS (raw RGB) or - (PPM)",
    )
    parser.add_argument(
        "--config", metavar="FILE.toml", type=Path, help="read these arguments from a file; the command line wins"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--save", metavar="DIR", help="save the images, or the video, with the detections drawn")
    output.add_argument(
        "--jsonl", metavar="FILE", help="write detections as JSON, one line per frame; a live source appends to FILE"
    )
    output.add_argument("--coco", metavar="FILE", help="write detections as COCO JSON, for labelling tools")
    output.add_argument(
        "--serve",
        metavar="[HOST:]PORT",
        help="show video and figures in a browser; 8080: on this computer only, 0.0.0.0:8080: on the network, "
        "protected by a token",
    )
    detection = parser.add_argument_group("detection")
    detection.add_argument(
        "--score", metavar="T", type=number(0, 1), help="minimum score of a detection, 0 to 1 (default: the model's)"
    )
    detection.add_argument("--slice", **SLICE_OPTION)
    detection.add_argument(
        "--track", action=BooleanOptionalAction, default=None, help="give each object an id that it keeps over time"
    )
    detection.add_argument(
        "--classes", metavar="A,B", help="fail unless the model's classes are exactly these, in this order"
    )
    add_runtime_arguments(parser)
    aircraft = parser.add_argument_group("aircraft")
    aircraft.add_argument(
        "--mavlink",
        metavar="ADDRESS",
        help="exchange MAVLink with the autopilot at udpout:HOST:PORT, udpin:HOST:PORT or serial:DEVICE:BAUD",
    )
    aircraft.add_argument(
        "--camera",
        metavar="FILE.toml",
        help="lens and mounting of the camera (fields: docs/geolocation.md); with --mavlink, adds latitude and "
        "longitude to detections",
    )


def read_settings(arguments: Namespace) -> DetectSettings:
    """Read the --config file, if any, and override it by the command line."""
    from tinydet.edge.files.schema import validated
    from tinydet.edge.files.toml_file import read_toml

    given = {field.name: getattr(arguments, field.name) for field in fields(DetectSettings)}
    given = {name: value for name, value in given.items() if value is not None}
    for name in ("model", "source"):
        if name not in given and arguments.config is None:
            raise InputError(f"detect needs a {name}, as argument or in a --config file (see tinydet detect --help)")
    if arguments.config is None:
        return validated(given, DetectSettings, source="detect")
    return validated(read_toml(arguments.config) | given, DetectSettings, source=str(arguments.config))


def _run(arguments: Namespace) -> int:

    import numpy as np

    from tinydet.edge.commands.detect_outputs import check_outputs
    from tinydet.edge.commands.systemd import ServiceManager
    from tinydet.edge.detection.detector import Detector
    from tinydet.edge.detection.slicing import SlicedDetector
    from tinydet.edge.sinks.threads import SinkThreads
    from tinydet.edge.sources.opening import open_source
    from tinydet.edge.stream.failures import Failures
    from tinydet.edge.stream.pipeline import Pipeline

    settings = read_settings(arguments)
    inputs = {"MODEL": settings.model, "SOURCE": settings.source, "--camera": settings.camera}
    check_outputs(settings.save, settings.jsonl, settings.coco, inputs={**inputs, "--config": arguments.config})
    unreadable: list[InputError] = []
    if settings.camera is not None and settings.mavlink is None:
        raise InputError("--camera has no effect without --mavlink, which gives the aircraft's position")
    detector = Detector(
        settings.model, score_threshold=settings.score, threads=settings.threads, device=settings.device
    )
    check_classes(detector.class_names, settings)
    source = open_source(settings.source, on_unreadable=unreadable.append)
    finder = SlicedDetector(detector, full_frame=settings.slice == "full") if settings.slice else detector
    tracker = _tracker(source) if settings.track else None

    counts = np.zeros(len(detector.class_names), np.int64)
    times: deque[StageTimes] = deque(maxlen=MEDIAN_FRAMES)
    failures = Failures()
    frame_count, service = 0, ServiceManager(failures)
    with Pipeline(source, finder, tracker) as pipeline, _stop_on_signal(pipeline):
        results = iter(pipeline)
        first = next(results, None)  # no output is created before one frame was read
        if first is None and pipeline.is_stopping:
            return EXIT_INTERRUPTED
        if first is None:
            raise InputError(f"none of the {source.frame_count} images in {source.name} can be read: {unreadable[0]}")
        sinks = _sinks(settings, source, detector, failures)
        with SinkThreads(sinks, is_live=source.is_live, failures=failures) as threads:
            for result in terminal.track_some(chain([first], results), "detecting", source.frame_count):
                threads.write(result)
                times.append(result.times)
                counts += np.bincount(result.detections.class_ids, minlength=len(counts))
                frame_count += 1
                service.beat()
            service.stopping()

    _summarize(settings, detector, frame_count, counts.tolist(), times)
    if source.is_live:
        terminal.say(f"{pipeline.dropped} frames were dropped to keep up with the source")
    for sink in sinks:
        if sink.leaves_files and sink not in threads.failed:
            terminal.say(f"wrote {sink.name}")
    if not sinks:
        terminal.say("no output was written: --save DIR draws the detections, --jsonl FILE lists them")
    terminal.say_next("profile", settings.model)
    for error in unreadable:
        terminal.say(f"error: {error}")
    if pipeline.is_stopping and not source.is_live:
        terminal.say("stopped before the end")
        return EXIT_INTERRUPTED
    return 2 if unreadable or threads.failed else 0


def check_classes(class_names: tuple[str, ...], settings: DetectSettings) -> None:
    """Check that the model has the classes that `settings` expects. Raises `InputError`."""
    expected = class_names if settings.classes is None else class_list(settings.classes)
    if expected != class_names:
        raise InputError(
            f"{settings.model} detects {quoted(class_names)}, but --classes expects {quoted(expected)}: "
            "choose another model, or correct --classes"
        )


def _tracker(source: Source) -> Tracks:
    from tinydet.edge.tracking.tracker import Tracker

    if source.frames_per_s is None and not source.is_live:
        kind = "still images" if source.frame_count is not None else "no frame rate"
        raise InputError(f"--track needs a video or a live source: {source.name} has {kind}")
    return Tracker(frames_per_s=source.frames_per_s)


@contextmanager
def _stop_on_signal(pipeline: Pipeline) -> Iterator[None]:
    """Stop the pipeline in order on SIGINT or SIGTERM; a second signal ends the process at once."""
    import signal

    signals = (signal.SIGINT, signal.SIGTERM)

    def stop(*_: object) -> None:
        pipeline.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _sinks(settings: DetectSettings, source: Source, detector: Detector, failures: Failures) -> list[Sink]:
    from tinydet.edge.sinks.coco import CocoJson
    from tinydet.edge.sinks.images import AnnotatedImages
    from tinydet.edge.sinks.json_lines import JsonLines, Locate
    from tinydet.edge.sinks.video import AnnotatedVideo

    class_names = detector.class_names
    sinks: list[Sink] = []
    if settings.save is not None:
        folder, origin = Path(settings.save), Path(source.name.removeprefix("file://"))
        if not source.is_live and folder.resolve() == (origin if origin.is_dir() else origin.parent).resolve():
            raise InputError(f"--save {folder} is the folder of the source, whose files would be replaced")
        if source.frames_per_s is not None or source.is_live:
            sinks.append(AnnotatedVideo.of(source, folder, class_names))
        else:
            sinks.append(AnnotatedImages(folder, class_names))
    locate: Locate | None = None
    if settings.mavlink is not None:
        autopilot = _autopilot(settings.mavlink, settings.camera, failures)
        sinks.append(autopilot)
        locate = autopilot.locate if settings.camera is not None else None
    if settings.serve is not None:
        from tinydet.edge.live_page.access import parse_serve_address
        from tinydet.edge.live_page.server import LivePage

        title = f"{Path(settings.model).name}, {source.name}"
        page = LivePage(parse_serve_address(settings.serve), class_names, title, failures)
        terminal.say(f"live at {page.url}")
        sinks.append(page)
    if settings.jsonl is not None:
        sinks.append(JsonLines(Path(settings.jsonl), class_names, source, locate))
    if settings.coco is not None:
        sinks.append(CocoJson(Path(settings.coco), class_names))
    return sinks


def _autopilot(address: str, camera: str | None, failures: Failures) -> Autopilot:
    from tinydet.edge.aircraft.autopilot import Autopilot
    from tinydet.edge.aircraft.geolocation import read_camera
    from tinydet.edge.aircraft.link import parse_address

    return Autopilot(parse_address(address), None if camera is None else read_camera(Path(camera)), failures)


def _summarize(
    settings: DetectSettings, detector: Detector, frame_count: int, counts: list[int], times: deque[StageTimes]
) -> None:
    import numpy as np

    by_class = ", ".join(f"{count} {name}" for count, name in zip(counts, detector.class_names, strict=True) if count)
    frames = "1 frame" if frame_count == 1 else f"{frame_count} frames"
    terminal.say(f"{frames}, {sum(counts)} objects{f': {by_class}' if by_class else ''}")
    pre, infer, post = np.median([(t.pre_ms, t.infer_ms, t.post_ms) for t in times], axis=0)
    runtime = detector.runtime
    terminal.say(f"median ms: pre {pre:.2f}, infer {infer:.2f}, post {post:.2f} ({runtime.name}, {runtime.provider})")


COMMAND = Command(
    name="detect",
    help="find objects in images, a video, a camera or a stream",
    example="tinydet detect n-640px-int8.onnx flight.mp4 --save runs/flight --jsonl runs/flight.jsonl\n"
    "  tinydet detect n-640px-int8.onnx 'v4l2://0?width=1280&height=720' --jsonl runs/flight.jsonl\n"
    "  tinydet detect --config flight.toml",
    add_arguments=_add_arguments,
    run=_run,
)

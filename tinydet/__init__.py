"""Detection of tiny objects in drone footage: detect on board, measure, train, quantize, export.

    from tinydet import Detector, read_image

    detector = Detector("n-640px-int8.onnx")
    detections = detector.detect(read_image("frame.jpg"))

The names in `__all__` are the public API. A name is loaded when it is first used, so that `import tinydet` costs
nothing: no OpenCV, no runtime, no torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # in place of typing's, whose import takes longer than this one
if TYPE_CHECKING:  # a misspelt name is then an error to a type checker
    from tinydet.edge.datasets.dataset import Dataset as Dataset
    from tinydet.edge.datasets.reading import read_dataset as read_dataset
    from tinydet.edge.detection.detector import Detector as Detector
    from tinydet.edge.detection.slicing import SlicedDetector as SlicedDetector
    from tinydet.edge.detections import Detections as Detections
    from tinydet.edge.errors import InputError as InputError
    from tinydet.edge.evaluation.average_precision import Accuracy as Accuracy
    from tinydet.edge.evaluation.evaluate import evaluate as evaluate
    from tinydet.edge.files.images import read_image as read_image
    from tinydet.edge.files.images import write_image as write_image
    from tinydet.edge.sinks.drawing import draw_detections as draw_detections
    from tinydet.edge.sources.frames import Frame as Frame
    from tinydet.edge.sources.opening import open_source as open_source
    from tinydet.edge.stream.frame_result import FrameResult as FrameResult
    from tinydet.edge.stream.pipeline import Pipeline as Pipeline
    from tinydet.edge.tracking.tracker import Tracker as Tracker

    __version__: str
else:
    _MODULES = {
        "Accuracy": "edge.evaluation.average_precision",
        "Dataset": "edge.datasets.dataset",
        "Detections": "edge.detections",
        "Detector": "edge.detection.detector",
        "Frame": "edge.sources.frames",
        "FrameResult": "edge.stream.frame_result",
        "InputError": "edge.errors",
        "Pipeline": "edge.stream.pipeline",
        "SlicedDetector": "edge.detection.slicing",
        "Tracker": "edge.tracking.tracker",
        "draw_detections": "edge.sinks.drawing",
        "evaluate": "edge.evaluation.evaluate",
        "open_source": "edge.sources.opening",
        "read_dataset": "edge.datasets.reading",
        "read_image": "edge.files.images",
        "write_image": "edge.files.images",
    }
    __all__ = ["__version__", *_MODULES]

    def __getattr__(name):
        """Load a public name on first use."""
        from importlib import import_module, metadata

        if name not in __all__:
            raise AttributeError(f"module 'tinydet' has no attribute {name!r}")
        if name == "__version__":
            value = metadata.version("tinydet")
        else:
            value = getattr(import_module(f"tinydet.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})

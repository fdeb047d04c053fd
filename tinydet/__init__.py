"""Detection of tiny objects in drone footage: detect on board, measure, train, quantize, export.

    from tinydet import Detector, read_image

    detector = Detector("n-640px-int8.onnx")
    detections = detector.detect(read_image("frame.jpg"))

The names in `__all__` are the public API. A name is loaded when it is first used, so that `import tinydet` costs
nothing: no OpenCV, no runtime, no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinydet.edge.datasets.dataset import Dataset
    from tinydet.edge.datasets.reading import read_dataset
    from tinydet.edge.detection.detector import Detector
    from tinydet.edge.detection.slicing import SlicedDetector
    from tinydet.edge.detections import Detections
    from tinydet.edge.errors import InputError
    from tinydet.edge.evaluation.average_precision import Accuracy
    from tinydet.edge.evaluation.evaluate import evaluate
    from tinydet.edge.files.images import read_image, write_image
    from tinydet.edge.sources.frames import Frame
    from tinydet.edge.sources.opening import open_source
    from tinydet.edge.stream.frame_result import FrameResult
    from tinydet.edge.stream.pipeline import Pipeline
    from tinydet.edge.tracking.tracker import Tracker

    __version__: str

__all__ = [
    "Accuracy",
    "Dataset",
    "Detections",
    "Detector",
    "Frame",
    "FrameResult",
    "InputError",
    "Pipeline",
    "SlicedDetector",
    "Tracker",
    "__version__",
    "evaluate",
    "open_source",
    "read_dataset",
    "read_image",
    "write_image",
]

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
    "evaluate": "edge.evaluation.evaluate",
    "open_source": "edge.sources.opening",
    "read_dataset": "edge.datasets.reading",
    "read_image": "edge.files.images",
    "write_image": "edge.files.images",
}


if not TYPE_CHECKING:  # type checkers see the imports above, so a misspelt name is an error to them

    def __getattr__(name: str) -> object:
        """Load a public name on first use."""
        if name == "__version__":
            from importlib.metadata import version

            value: object = version("tinydet")
        elif name in _MODULES:
            value = getattr(import_module(f"tinydet.{_MODULES[name]}"), name)
        else:
            raise AttributeError(f"module 'tinydet' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

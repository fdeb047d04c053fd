"""Whether calibration images look like what the network was trained on: their colours and their size.

A folder written by a program that takes BGR for RGB gives ranges of another picture. The network knows: with `n` the
mean of the largest class logits was higher in the right order on each of 51 photographs and rendered scenes, by 0.28
(standard deviation 0.03) on photographs of flights it was not trained on. On 21 parts of photographs without any object
it was higher on 16, and never lower by more than 0.13. So a folder is doubted when every image looked at speaks against
it, by more than 0.1 in the mean.
"""

from __future__ import annotations

import logging

import imagesize
import torch

from tinydet.edge.detection.letterbox import letterbox
from tinydet.edge.files.images import read_image
from tinydet.quantization.calibration import CalibrationImages
from tinydet.quantization.export_graph import as_batch
from tinydet.training.model import TinyDetector

COLOUR_IMAGES = 4
LARGEST_LOGITS = 200
COLOUR_DOUBT = 0.1
MAX_ENLARGED, MAX_REDUCED = 4.0, 8.0

_logger = logging.getLogger(__name__)


def check_calibration_images(model: TinyDetector, images: CalibrationImages, input_hw: tuple[int, int]) -> None:
    """Log a warning, a line each, for colours and sizes that look wrong. Raises `InputError` for what is no image."""
    if (doubt := swapped_colours(model, images, input_hw)) > COLOUR_DOUBT:
        _logger.warning(
            "the calibration images look as if red and blue were swapped: the detector sees more in them the other way "
            "round (by %.2f in the largest logits): look at one in an image viewer",
            doubt,
        )
    scales = {path: _scale(imagesize.get(path), input_hw) for path in images.paths}
    odd = {path: scale for path, scale in scales.items() if not 1 / MAX_REDUCED <= scale <= MAX_ENLARGED}
    if odd:
        path, scale = next(iter(odd.items()))
        _logger.warning(
            "%d of %d calibration images are far from the input's %dx%d px, such as %s, which is scaled by %.2g: "
            "give frames as the camera gives them",
            len(odd),
            len(scales),
            input_hw[1],
            input_hw[0],
            path.name,
            scale,
        )


@torch.no_grad()
def swapped_colours(model: TinyDetector, images: CalibrationImages, input_hw: tuple[int, int]) -> float:
    """By how much the mean of the largest logits rises when red and blue change places; 0 where images disagree."""
    step = max(1, len(images.paths) // COLOUR_IMAGES)
    rises = []
    for path in images.paths[::step][:COLOUR_IMAGES]:
        image_nchw = as_batch(letterbox(read_image(path), input_hw).image)
        rises.append(_largest(model, image_nchw.flip(1)) - _largest(model, image_nchw))
    return sum(rises) / len(rises) if min(rises) > 0 else 0.0


def _largest(model: TinyDetector, image_nchw: torch.Tensor) -> float:
    logits = torch.cat([level.flatten() for level in model(image_nchw).logits])
    return float(logits.topk(min(LARGEST_LOGITS, len(logits))).values.mean())


def _scale(image_wh: tuple[int, int], input_hw: tuple[int, int]) -> float:
    """What letterboxing scales the image by."""
    width, height = image_wh
    return min(input_hw[1] / width, input_hw[0] / height)

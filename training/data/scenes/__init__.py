"""Rendered top-down drone scenes with exact boxes, for training, the demo and tests without a download."""

from tinydet.training.data.scenes.clip import ClipFrame, render_clip
from tinydet.training.data.scenes.dataset import write_clip, write_dataset
from tinydet.training.data.scenes.scene import SCENE_CLASSES, Scene, render_scene

__all__ = ["SCENE_CLASSES", "ClipFrame", "Scene", "render_clip", "render_scene", "write_clip", "write_dataset"]

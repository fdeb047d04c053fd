"""Training loss: label assignment, class and box loss balanced by DCLoss, FBSM's mask loss."""

from tinydet.training.loss.detection import DetectionLoss, Loss, build_assigner, build_loss

__all__ = ["DetectionLoss", "Loss", "build_assigner", "build_loss"]

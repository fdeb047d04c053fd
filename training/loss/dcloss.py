"""DCLoss, the Dynamic Gradient-Balanced Loss: every object pulls equally hard at the network, whatever its size.

The paper's abstract states the aim; the formulas are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinydet.training import distributed as processes

AITOD_BAND_EDGES_PX = (8.0, 16.0, 32.0)  # very tiny, tiny, small, medium (arXiv:2206.13996)
MOMENTUM = 0.98
MAX_WEIGHT = 2.0


def band_of(boxes_xyxy_px: Tensor, edges_px: tuple[float, ...] = AITOD_BAND_EDGES_PX) -> Tensor:
    """Size band (N,) int64 of each box (N, 4): the number of `edges_px` that the square root of its area reaches."""
    size = (boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]).clamp(min=0).prod(-1).sqrt()
    return torch.bucketize(size, torch.tensor(edges_px, device=size.device), right=True)


class GradientBalance(nn.Module):
    """Weights of the size bands for one loss term. State: buffers (bands,), saved with the training state.

    With G_b and N_b the moving averages over steps of the gradient magnitude of band b's samples and of its number of
    objects, both divided by the number of all samples, and p_b = G_b / N_b the pull of one object,

        w_b = clip(sum(G) / sum(N) / p_b, 1 / w_max, w_max),   rescaled so that  sum(w_b G_b) = sum(G_b)

    over the bands seen so far: equal pulls within the limits of the clip, however many objects a band has, and an
    unchanged total. Without `per_object`, N_b is 1: the bands' totals become equal. With one band, w is exactly 1: the
    plain loss.
    """

    gradient_share: Tensor
    object_share: Tensor | None

    def __init__(
        self, bands: int, *, per_object: bool = True, momentum: float = MOMENTUM, max_weight: float = MAX_WEIGHT
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.max_weight = max_weight
        self.register_buffer("gradient_share", torch.zeros(bands))
        self.register_buffer("object_share", torch.zeros(bands) if per_object else None)

    @torch.no_grad()
    def update(self, bands: Tensor, magnitudes: Tensor, parts: Tensor) -> None:
        """Update the averages by one step: of its positive samples, bands (K,) int64, gradient magnitudes (K,), and
        parts (K,): each sample's part of its object, 1 / its object's number of samples.

        The samples of all processes count, so that the averages are equal in all.
        """
        sums = self.gradient_share.new_zeros(2, len(self.gradient_share))
        sums.index_add_(1, bands, torch.stack([magnitudes.float(), parts.float()]))
        count = processes.global_sum(sums.new_tensor(len(bands)))
        if count == 0:
            return
        gradient, objects = processes.global_sum(sums) / count
        first = self.gradient_share == 0
        for average, step in ((self.gradient_share, gradient), (self.object_share, objects)):
            if average is not None:
                average.copy_(torch.where(first, step, torch.lerp(step, average, self.momentum)))

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Weight of each band (bands,); 1 for a band without samples so far."""
        gradient = self.gradient_share
        seen = gradient > 0
        if not bool(seen.any()):
            return torch.ones_like(gradient)
        objects = self.object_share if self.object_share is not None else torch.ones_like(gradient)
        mean_pull = gradient[seen].sum() / objects[seen].sum()
        weights = mean_pull / (gradient / objects).clamp(min=1e-12)
        weights = weights.clamp(1 / self.max_weight, self.max_weight)
        scale = gradient[seen].sum() / (weights * gradient)[seen].sum()
        return torch.where(seen, weights * scale, torch.ones_like(gradient))

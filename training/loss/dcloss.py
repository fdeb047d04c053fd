"""DCLoss, the Dynamic Gradient-Balanced Loss: gives every band of object sizes the same share of the gradient.

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
    """Weights of the size bands for one loss term. State: `gradient_share` (bands,), saved with the training state.

    With g_b the moving average over steps of the gradient magnitude of band b's samples, divided by all samples,

        w_b = clip(mean(g) / g_b, 1 / w_max, w_max),   rescaled so that  sum(w_b g_b) = sum(g_b)

    over the bands seen so far: equal shares within the limits of the clip, and an unchanged total. With one band,
    w is exactly 1: the plain loss.
    """

    gradient_share: Tensor

    def __init__(self, bands: int, *, momentum: float = MOMENTUM, max_weight: float = MAX_WEIGHT) -> None:
        super().__init__()
        self.momentum = momentum
        self.max_weight = max_weight
        self.register_buffer("gradient_share", torch.zeros(bands))

    @torch.no_grad()
    def update(self, bands: Tensor, magnitudes: Tensor) -> None:
        """Update the shares by one step: bands (K,) int64 and gradient magnitudes (K,) of its positive samples.

        The samples of all processes count, so that the shares are equal in all.
        """
        sums = torch.zeros_like(self.gradient_share).index_add_(0, bands, magnitudes.float())
        count = processes.global_sum(sums.new_tensor(len(bands)))
        if count == 0:
            return
        step = processes.global_sum(sums) / count
        first = self.gradient_share == 0
        averaged = torch.lerp(step, self.gradient_share, self.momentum)
        self.gradient_share.copy_(torch.where(first, step, averaged))

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Weight of each band (bands,); 1 for a band without samples so far."""
        share = self.gradient_share
        seen = share > 0
        if not bool(seen.any()):
            return torch.ones_like(share)
        mean = share[seen].mean()
        weights = torch.where(seen, mean / share.clamp(min=1e-12), torch.ones_like(share))
        weights = weights.clamp(1 / self.max_weight, self.max_weight)
        scale = share[seen].sum() / (weights * share)[seen].sum()
        return torch.where(seen, weights * scale, torch.ones_like(share))

"""Arithmetic of training steps."""

from __future__ import annotations

import torch


def mixed_precision(device: torch.device) -> torch.autocast:
    """Context in which convolutions multiply in bfloat16: on GPUs, and on CPUs with instructions for it.

    Weights, sums and losses stay float32. On a CPU without the instructions bfloat16 would be slower.
    """
    enabled = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)

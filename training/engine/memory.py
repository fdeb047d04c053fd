"""Memory of training: keep freed memory for the next step, and explain when it runs out."""

from __future__ import annotations

import ctypes

import torch

from tinydet.edge.errors import InputError
from tinydet.training import distributed as processes
from tinydet.training.recipes.distillation_recipe import DistillationRecipe
from tinydet.training.recipes.recipe import Recipe

# Parameters of glibc's mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
GIB = 1 << 30


def keep_freed_memory() -> bool:
    """Make glibc's allocator keep freed memory; returns whether it does (other C libraries have no such option).

    By default every large tensor is mapped from the system and soon unmapped, and the system clears each new page: a
    third of a CPU training step (2.4 s a step by default, 1.6 s with this, one thread on a busy machine). In return the
    process holds its peak memory until it ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2 * GIB - 1), (M_TOP_PAD, GIB // 2))
    return all(mallopt(name, value) == 1 for name, value in settings)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory, on a GPU or on the CPU (where it raises a plain RuntimeError)."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def out_of_memory_error(recipe: Recipe | DistillationRecipe, device: torch.device) -> InputError:
    """Error that suggests half the batch, which needs half the memory."""
    share = recipe.schedule.batch // processes.world_size()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    if share == 1:
        return InputError(f"out of memory on {where} with one image: lower data.crop_px ({recipe.data.crop_px})")
    batch = share // 2 * processes.world_size()
    return InputError(f"out of memory on {where} with {share} images a process: try --set schedule.batch={batch}")

"""Training in several processes started by torchrun: GPUs of one or more machines, or CPU processes.

N processes with batch/N images each take the same step as one process with the whole batch. In a single process every
function here works without a process group and exchanges nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # not re-exported
from torch.distributed.rendezvous import rendezvous

from tinydet.edge.errors import InputError

T = TypeVar("T")


@contextmanager
def process_group() -> Iterator[None]:
    """Join the process group that torchrun started; a single process skips it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if "LOCAL_RANK" not in os.environ:
        raise InputError("WORLD_SIZE is set but LOCAL_RANK is not: start several processes with torchrun")
    if torch.cuda.is_available():
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise InputError(f"this machine has {gpus} GPUs: start it with --nproc-per-node {gpus}")
        torch.cuda.set_device(local)
    store, rank, size = next(rendezvous("env://"))
    # torchrun keeps one store over restarts: without a prefix, a restart reads the addresses of the dead processes.
    store = PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}-of-{size}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def was_restarted() -> bool:
    """Whether torchrun started this process to replace a lost one."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def launch_id() -> str:
    """Identifies the torchrun that started this process: host name and process id."""
    return f"{socket.gethostname()} {os.getppid()}"


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Index of this process, 0 for the first or only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def run_on_first(function: Callable[[], T]) -> T:
    """Call `function` in the first process and return its result in all; an `InputError` there is raised in all."""
    if world_size() == 1:
        return function()
    message: list[object] = [None, None]
    if rank() == 0:
        try:
            message[0] = function()
        except InputError as error:
            message[1] = str(error)
    dist.broadcast_object_list(message, src=0)
    if message[1] is not None:
        raise InputError(str(message[1]))
    return message[0]  # type: ignore[return-value]  # broadcast by the first process


def gather(value: T) -> list[T]:
    """The `value` of every process, in order of rank."""
    values: list[T] = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


def shard(items: Sequence[T]) -> Sequence[T]:
    """This process's share of `items`: every N-th one, from its rank on."""
    return items[rank() :: world_size()]


def gather_shards(values: list[T]) -> list[T]:
    """Merge the values that all processes computed for their `shard`, one per item, in the order of the items."""
    parts = gather(values)
    return [parts[index % len(parts)][index // len(parts)] for index in range(sum(map(len, parts)))]


def global_sum(value: Tensor) -> Tensor:
    """Sum of `value` over all processes, without gradient."""
    value = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(value)
    return value


def shared_sum(local: Tensor) -> Tensor:
    """Sum of `local` over all processes, with the gradient of this process's part only.

    A loss computed from shared sums has the same value in all processes. Its gradients, added over the processes by
    `sum_gradients`, are those of one process with the whole batch.
    """
    if world_size() == 1:
        return local
    return local + (global_sum(local) - local.detach())


def sum_gradients(model: nn.Module) -> None:
    """Replace the gradients by their sums over all processes, in one all-reduce."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


class _Sum(torch.autograd.Function):
    """Sum over all processes. The loss of every process depends on it, so its gradient is summed over them, too."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        return global_sum(local)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return global_sum(gradient)


def _summed(local: Tensor) -> Tensor:
    result: Tensor = _Sum.apply(local)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


class SynchronizedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the images of all processes; unlike torch's SyncBatchNorm it also runs on CPUs."""

    def forward(self, x_nchw: Tensor) -> Tensor:
        """Normalize by the statistics of all processes while training; in eval mode as `BatchNorm2d`."""
        if not self.training or world_size() == 1:
            return super().forward(x_nchw)
        x = x_nchw.to(torch.promote_types(x_nchw.dtype, torch.float32))  # sums of 16-bit numbers need more bits
        count = x.numel() // x.shape[1] * world_size()
        mean = _summed(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = _summed(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        y: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return y.to(x_nchw.dtype)


def synchronize_batch_norm(model: nn.Module) -> None:
    """Replace every `BatchNorm2d` by a `SynchronizedBatchNorm2d` with the same parameters; not in a single process."""
    if world_size() == 1:
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = SynchronizedBatchNorm2d(child.num_features, eps=child.eps, momentum=child.momentum)
                shared.to(child.weight).train(child.training)
                shared.load_state_dict(child.state_dict())
                shared.weight, shared.bias = child.weight, child.bias
                setattr(parent, name, shared)

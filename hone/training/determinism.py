"""The conditions under which the same seed gives the same bits: one thread, and random numbers by epoch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hone.errors import UserError
from hone.seeds import derive


def device_of(name: str) -> torch.device:
    """Return the device that ``cpu``, ``cuda`` or ``auto`` means on this machine; UserError if it has none."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(f"train.device: {name!r}, but torch finds no CUDA device here; use cpu or auto")
    # The CUDA index is spelled out, because fork_rng takes no device without one.
    return torch.device("cuda", torch.cuda.current_device())


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Run torch on one thread (sums depend on how they are split), on CUDA with deterministic kernels only."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    if threads != 1:
        torch.set_num_threads(1)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it once, at its first call
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        if threads != 1:
            torch.set_num_threads(threads)
        if device.type == "cuda":
            torch.use_deterministic_algorithms(strict)


@contextmanager
def seeded(device: torch.device, seed: int, *path: str | int) -> Iterator[None]:
    """Draw torch's global random numbers (dropout's) from ``derive(seed, *path)``; then put the old state back.

    Seeded anew by epoch, they are the same whether an epoch follows another or a checkpoint.
    """
    value = derive(seed, *path)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(value)
        if cuda:
            torch.cuda.manual_seed(value)
        yield

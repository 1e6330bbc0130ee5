"""Seeds derived from one another, so that none is ever global and none depends on timing."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, *path: str | int) -> int:
    """Return a seed in [0, 2**32) for one purpose, e.g. ``derive(0, "trial", 12, "shuffle")``.

    Parts are hashed (SHA-256), so neighbouring paths give unrelated streams, on every platform.
    """
    text = "/".join([str(seed), *(str(part) for part in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def numpy_generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return a NumPy generator seeded by ``derive(seed, *path)``."""
    return np.random.default_rng(derive(seed, *path))


def torch_generator(seed: int, *path: str | int) -> "torch.Generator":
    """Return a CPU torch generator seeded by ``derive(seed, *path)``."""
    import torch  # not above: looks at params and tables derive seeds, too, and torch takes a second

    return torch.Generator().manual_seed(derive(seed, *path))

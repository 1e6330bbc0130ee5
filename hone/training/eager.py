"""Torch's optimizers without torch.compile, which nothing here uses.

Torch wraps an optimizer's methods so that its compiler passes them over. The wrappers import the compiler, which takes
every process that trains two seconds and a tenth of a gigabyte, and take time in every step. What they wrap is called
here instead: the same mathematics, to the bit.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer


class _Eager(Optimizer):
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    add_param_group = inspect.unwrap(Optimizer.add_param_group)


class AdamW(_Eager, torch.optim.AdamW):
    """Torch's AdamW."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return _ADAMW_STEP(self, closure)


class SGD(_Eager, torch.optim.SGD):
    """Torch's SGD."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return _SGD_STEP(self, closure)


_ADAMW_STEP: Callable[..., Any] = inspect.unwrap(torch.optim.AdamW.step)
_SGD_STEP: Callable[..., Any] = inspect.unwrap(torch.optim.SGD.step)

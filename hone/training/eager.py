"""Torch's optimizers and clipping without what nothing here uses; the mathematics are torch's own, to the bit.

Torch wraps an optimizer's methods so that its compiler passes them over. The wrappers import the compiler, which takes
every process that trains two seconds and a tenth of a gigabyte. What they wrap is called here instead. And where all
tensors are of one device and type, they need not be sorted by these in every step, which for small networks takes
longer than the mathematics.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


class _Eager(Optimizer):
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    add_param_group = inspect.unwrap(Optimizer.add_param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


class AdamW(_Eager, torch.optim.AdamW):
    """Torch's fused AdamW."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is not None or not _alike(p for group in self.param_groups for p in group["params"]):
            return _ADAMW_STEP(self, closure)
        for group in self.param_groups:
            parameters, gradients, averages, squares, largest, steps = (list[Tensor]() for _ in range(6))
            self._init_group(group, parameters, gradients, averages, squares, largest, steps)  # type: ignore[no-untyped-call]
            if not parameters:
                continue
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                parameters,
                gradients,
                averages,
                squares,
                largest,
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=group["amsgrad"],
                maximize=group["maximize"],
            )
        return None

    step.hooked = True  # type: ignore[attr-defined]  # or torch would note every step for its profiler


class SGD(_Eager, torch.optim.SGD):
    """Torch's fused SGD."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return _SGD_STEP(self, closure)


@torch.no_grad()
def clip_gradients(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale gradients down to a largest norm, all together, as `torch.nn.utils.clip_grad_norm_` does."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients or not _alike(gradients):
        clip_grad_norm_(parameters, largest, foreach=True)
        return
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients, 2.0)), 2.0)
    torch._foreach_mul_(gradients, torch.clamp(largest / (norm + 1e-6), max=1.0))


def _alike(tensors: Iterable[Tensor]) -> bool:
    return len({(tensor.device, tensor.dtype) for tensor in tensors}) == 1


_ADAMW_STEP: Callable[..., Any] = inspect.unwrap(torch.optim.AdamW.step)
_SGD_STEP: Callable[..., Any] = inspect.unwrap(torch.optim.SGD.step)

"""What a training leaves behind so that another can continue it as if there had been no break."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

MODEL, BEST, OPTIMIZER = "model.", "best.", "optimizer."


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epoch. Tensors fit safetensors, info fits JSON.

    tensors: on the CPU, sharing no memory; ``model.*`` is the network now, ``best.*`` as it was after its best
    epoch, ``optimizer.<parameter>.<name>`` the optimizer's state.
    info: family, config, seed (random numbers are drawn from it and the epoch, so there is no generator's state
    to carry), epoch, curve, losses (of each epoch, on the training rows), best_epoch, metrics (at the best epoch),
    chosen_by (score and loss that made it the best), stopped (early). Over folds: `folds` alone, which has these of
    each (hone/training/cross_validation.py).
    """

    tensors: Mapping[str, Tensor]
    info: Mapping[str, Any]

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict of the network as it was after its best epoch."""
        return _under(BEST, self.tensors)


def capture(model: nn.Module, best: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, copied. optimizer: None of a training of the user's own."""
    state: Mapping[int, Mapping[str, object]] = {} if optimizer is None else optimizer.state_dict()["state"]
    return {
        **{MODEL + name: _copy(tensor) for name, tensor in model.state_dict().items()},
        **{BEST + name: _copy(tensor) for name, tensor in best.items()},
        **{
            f"{OPTIMIZER}{index}.{name}": _copy(value)
            for index, values in state.items()
            for name, value in values.items()
            if isinstance(value, Tensor)
        },
    }


def restore(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """Put a checkpoint's tensors into a model and its optimizer, both just made from the same config."""
    model.load_state_dict(_under(MODEL, tensors))
    if optimizer is None:
        return
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under(OPTIMIZER, tensors).items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor.clone()  # the optimizer would write into ours
    groups = copy.deepcopy(optimizer.state_dict()["param_groups"])
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state dict, on its device."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()

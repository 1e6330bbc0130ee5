"""Optimizers by name, made from a config."""

from collections.abc import Sequence

import torch
from torch import nn

from hone.errors import UserError
from hone.training import eager
from hone.trial import Config

OPTIMIZERS = ("adamw", "sgd")
RATE = "rate_factor"
"""A parameter group's factor on the learning rate."""


def optimizer_for(
    model: nn.Module, config: Config, backbone: Sequence[nn.Parameter] = (), rate: float = 1.0
) -> torch.optim.Optimizer:
    """Return the config's optimizer over a model's trainable parameters; biases and norms are not decayed.

    Parameters may bring factors of their own on learning rate and weight decay (`hone.models.optimisation.rated`).
    backbone: parameters that learn at `rate` times that rate, in groups of their own: they may rest while others learn.

    AdamW's weight decay is decoupled (Loshchilov and Hutter 2019); SGD's is added to the gradient.
    """
    slow = {id(parameter) for parameter in backbone}
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            factor = float(getattr(parameter, "rate_factor", 1.0)) * (rate if id(parameter) in slow else 1.0)
            decay = float(getattr(parameter, "decay_factor", parameter.ndim >= 2))
            groups.setdefault((factor, decay, id(parameter) in slow), []).append(parameter)
    # Matrices first, whatever comes first in the model: the order is that of the checkpoint's optimizer state.
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], -group[0][1], group[0][2]))
    options = [
        {"params": members, "weight_decay": decay * float(config["weight_decay"]), RATE: factor}
        for (factor, decay, _), members in ordered
    ]
    learning_rate = float(config["learning_rate"])
    # Fused: a fifth less time a step than the loop over parameters, for small networks on a CPU.
    if config["optimizer"] == "adamw":
        return eager.AdamW(options, lr=learning_rate, betas=(0.9, float(config.get("beta2", 0.999))), fused=True)
    if config["optimizer"] == "sgd":
        return eager.SGD(options, lr=learning_rate, momentum=float(config["momentum"]), fused=True)
    raise UserError(f"search.space.optimizer: {config['optimizer']!r} is unknown; use {' or '.join(OPTIMIZERS)}")

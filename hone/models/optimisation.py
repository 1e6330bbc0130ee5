"""The hyperparameters of training, which every family shares: they come first in each default space."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from hone.space import Categorical, Condition, Domain, Float, Int, SearchSpace
from hone.trial import Config

TRAINING = SearchSpace(
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "batch_size": Int(16, 256, log=True),
        "optimizer": Categorical(("adamw", "sgd")),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(1e-6, 1e-1, log=True),
        "schedule": Categorical(("constant", "cosine", "one_cycle")),
        "label_smoothing": Float(0.0, 0.2),
        "target_transform": Categorical(("none", "yeo_johnson")),
    },
    {"momentum": Condition("optimizer", allowed=("sgd",))},
    {
        "learning_rate": 2e-3,
        "batch_size": 64,
        "optimizer": "adamw",
        "momentum": 0.9,
        "weight_decay": 1e-2,
        "schedule": "cosine",
        "label_smoothing": 0.0,
        "target_transform": "none",
    },
)


def with_training(domains: Mapping[str, Domain], conditions: Mapping[str, Condition], default: Config) -> SearchSpace:
    """Return a family's space: the hyperparameters of training, then its own."""
    return SearchSpace(
        {**TRAINING.domains, **domains}, {**TRAINING.conditions, **conditions}, {**TRAINING.defaults, **default}
    )


P = TypeVar("P", bound=Tensor)


def rated(parameter: P, rate: float, decay: float | None = None) -> P:
    """Return a parameter, marked for the optimizer: factors on the config's learning rate and weight decay.

    decay: None leaves it to the optimizer, which decays matrices and nothing else.
    """
    parameter.rate_factor = rate  # type: ignore[attr-defined]
    if decay is not None:
        parameter.decay_factor = decay  # type: ignore[attr-defined]
    return parameter

"""Marks on parameters that tell the optimizer of rates and decays of their own."""

from typing import TypeVar

from torch import Tensor

P = TypeVar("P", bound=Tensor)


def rated(parameter: P, rate: float, decay: float | None = None) -> P:
    """Return a parameter, marked for the optimizer: factors on the config's learning rate and weight decay.

    decay: None leaves it to the optimizer, which decays matrices and nothing else.
    """
    parameter.rate_factor = rate  # type: ignore[attr-defined]
    if decay is not None:
        parameter.decay_factor = decay  # type: ignore[attr-defined]
    return parameter

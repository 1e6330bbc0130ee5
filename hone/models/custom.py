"""Networks from elsewhere: ``package.module:factory``, where ``factory(inputs, config)`` returns an nn.Module.

The module's ``forward(x_num [b, n_num], x_cat [b, n_cat])`` returns ``[b, inputs.n_outputs]``. The factory may
carry ``factory.space``, a dict of name to spec as in params.yaml's `search.space`; a spec may have a `default`.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from hone.errors import UserError
from hone.models.inputs import InputSpec
from hone.models.optimisation import TRAINING
from hone.space import SearchSpace
from hone.trial import Config

Factory = Callable[[InputSpec, Config], nn.Module]
EXAMPLE = InputSpec(n_num=3, cardinalities=(4, 20), n_outputs=3, bins=((-1.0, 0.0, 1.0),) * 3)


def load(family: str) -> Factory:
    """Return the factory that a family ``package.module:factory`` names; UserError if there is none."""
    path, _, name = family.partition(":")
    try:
        module = importlib.import_module(path)
    except Exception as error:  # the module is a person's own and may raise anything
        raise UserError(
            f"model.family: {family!r}: cannot import {path!r} ({_one_line(error)}); "
            "write package.module:factory, importable from the project's root"
        ) from error
    factory = getattr(module, name, None) if name else None
    if not callable(factory):
        raise UserError(
            f"model.family: {family!r}: {path!r} has no function {name!r}; "
            "name a function (inputs, config) that returns a torch.nn.Module"
        )
    return factory  # type: ignore[no-any-return]


def space(family: str) -> SearchSpace:
    """Return the hyperparameters of training, followed by the factory's own if it has a `space`."""
    specs = getattr(load(family), "space", {})
    if not isinstance(specs, Mapping):
        raise UserError(f"model.family: {family!r}: its space must be a dict of name to spec, got {specs!r}")
    try:
        return TRAINING.merged(specs, extend=True)
    except UserError as error:
        raise UserError(f"model.family: {family!r}: its space: {error}") from None


def build(family: str, config: Config, inputs: InputSpec) -> nn.Module:
    """Return the factory's module; UserError if what it returns is none."""
    module: Any = load(family)(inputs, config)
    if not isinstance(module, nn.Module):
        raise UserError(
            f"model.family: {family!r} returned {type(module).__name__}, not a torch.nn.Module; "
            "return the module from the factory"
        )
    return module


def check(family: str) -> None:
    """Raise UserError unless the factory builds, for an example table, a module with outputs of the right shape."""
    config = space(family).default
    try:
        module = build(family, config, EXAMPLE).eval()
        x_cat = torch.zeros(4, len(EXAMPLE.cardinalities), dtype=torch.int64)
        with torch.no_grad():
            shape = tuple(module(torch.zeros(4, EXAMPLE.n_num), x_cat).shape)
    except UserError:
        raise
    except Exception as error:  # the factory is a person's own and may raise anything
        raise UserError(
            f"model.family: {family!r} failed on an example of {EXAMPLE.n_num} numeric and "
            f"{len(EXAMPLE.cardinalities)} categorical columns ({_one_line(error)}); mend the factory"
        ) from error
    if shape != (4, EXAMPLE.n_outputs):
        raise UserError(
            f"model.family: {family!r} gave outputs of shape {shape} for 4 rows and n_outputs="
            f"{EXAMPLE.n_outputs}; its forward(x_num, x_cat) must return (4, {EXAMPLE.n_outputs})"
        )


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]

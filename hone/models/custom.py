"""Models from elsewhere: ``package.module:name``, the name of a factory of networks, or of a trainable.

A factory is a function ``factory(inputs, config)`` that returns an nn.Module. A trainable is what derives from
`hone.models.trainable.Trainable`, and brings its own training; nothing else makes it one.

The module's ``forward(x_num [b, n_num], x_cat [b, n_cat])`` returns ``[b, inputs.n_outputs]``. The factory may
carry ``factory.space``, a dict of name to spec as in params.yaml's `search.space`; a spec may have a `default`.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn

from hone.errors import UserError
from hone.models.inputs import InputSpec, Picture
from hone.models.spaces import TRAINING
from hone.models.trainable import Fitted, Trainable, one_line
from hone.space import SearchSpace
from hone.trial import Config

Factory = Callable[[InputSpec, Config], nn.Module]
EXAMPLE = InputSpec(n_num=3, cardinalities=(4, 20), n_outputs=3, bins=((-1.0, 0.0, 1.0),) * 3)
PICTURES = InputSpec(0, (), EXAMPLE.n_outputs, (), Picture((3, 32, 32), (128.0,) * 3, (64.0,) * 3))


def load(family: str) -> Factory | Trainable:
    """Return the factory or the trainable that a family ``package.module:name`` names; UserError if there is none."""
    path, _, name = family.partition(":")
    try:
        module = importlib.import_module(path)
    except Exception as error:  # the module is a person's own and may raise anything
        raise UserError(
            f"model.family: {family!r}: cannot import {path!r} ({one_line(error)}); "
            "write package.module:factory, importable from the project's root"
        ) from error
    found: Any = getattr(module, name, None) if name else None
    if isinstance(found, type) and issubclass(found, Trainable):
        try:
            return found()
        except Exception as error:
            raise UserError(
                f"model.family: {family!r}: cannot be made without arguments ({one_line(error)}); mend the class"
            ) from error
    if not callable(found) and not isinstance(found, Trainable):
        raise UserError(
            f"model.family: {family!r}: {path!r} has no function {name!r}; name a function (inputs, config) that"
            " returns a torch.nn.Module, or a class that derives from hone.models.Trainable"
        )
    return cast("Factory | Trainable", found)


def is_trainable(family: str) -> bool:
    """Return whether a family names a trainable; UserError as `load`."""
    return isinstance(load(family), Trainable)


def space(family: str) -> SearchSpace:
    """Return the hyperparameters of training, then the factory's own if it has a `space`; of a trainable its own.

    UserError for a space that cannot be read, or a trainable's that is empty.
    """
    found = load(family)
    specs = getattr(found, "space", {})
    if not isinstance(specs, Mapping):
        raise UserError(f"model.family: {family!r}: its space must be a dict of name to spec, got {specs!r}")
    if isinstance(found, Trainable) and not specs:
        raise UserError(f"model.family: {family!r}: its space is empty; give it a hyperparameter to tune")
    base = SearchSpace({}) if isinstance(found, Trainable) else TRAINING
    try:
        return base.merged(specs, extend=True)
    except UserError as error:
        raise UserError(f"model.family: {family!r}: its space: {error}") from None


def build(family: str, config: Config, inputs: InputSpec) -> nn.Module:
    """Return the factory's module, or the trainable as one; UserError if what the factory returns is none."""
    found = load(family)
    if isinstance(found, Trainable):
        return Fitted(f"model.family: {family!r}", found, inputs, config)
    module: Any = found(inputs, config)
    if not isinstance(module, nn.Module):
        raise UserError(
            f"model.family: {family!r} returned {type(module).__name__}, not a torch.nn.Module; "
            "return the module from the factory"
        )
    return module


def check(family: str) -> None:
    """Raise UserError unless the factory builds, for an example table, a module with outputs of the right shape.

    Of a trainable only the space is looked at: training takes its time (see hone.training.own.try_out).
    """
    config = space(family).default
    if is_trainable(family):
        return
    try:
        shape = _shape(family, config, EXAMPLE)
    except UserError:
        raise
    except Exception as error:  # the factory is a person's own and may raise anything
        try:
            shape = _shape(family, config, PICTURES)  # it may be for these
        except Exception:
            raise UserError(
                f"model.family: {family!r} failed on an example of {EXAMPLE.n_num} numeric and "
                f"{len(EXAMPLE.cardinalities)} categorical columns ({one_line(error)}), and on one of pictures;"
                " mend the factory"
            ) from error
    if shape != (4, EXAMPLE.n_outputs):
        raise UserError(
            f"model.family: {family!r} gave outputs of shape {shape} for 4 rows and n_outputs="
            f"{EXAMPLE.n_outputs}; its forward(x_num, x_cat) must return (4, {EXAMPLE.n_outputs})"
        )


def _shape(family: str, config: Config, inputs: InputSpec) -> tuple[int, ...]:
    """Return the shape of a factory's outputs for four rows."""
    module = build(family, config, inputs).eval()
    if inputs.picture is None:
        x_num = torch.zeros(4, inputs.n_num)
    else:
        x_num = torch.zeros(4, *inputs.picture.shape, dtype=torch.uint8)
    with torch.no_grad():
        return tuple(module(x_num, torch.zeros(4, len(inputs.cardinalities), dtype=torch.int64)).shape)
